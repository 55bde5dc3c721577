package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestModelMultipliesAsItsFormulasSay(t *testing.T) {
	s := scenario{
		users: 864_000, active: 0.5, sessions: 2, vends: 10, peak: 4, stay: 30, answer: 0.25, target: 0.5,
		vendCPU: 2000, redisCPU: 100, postgresCPU: 500, sessionBytes: 1000, linkBytes: 100,
	}
	want := []float64{
		8_640_000,     // 864 000 × 0.5 × 2 × 10
		100, 400, 0.8, // 400 × 2000 / 10⁶
		3,           // 0.8 / 0.5, rounded up, + 1
		100, 768, 4, // 400 × 0.25, 3 × 256, 400 × 100 / 10⁴
		72_000, 0.072, // 864 000 / 86 400 × 4 × 1800
		824, 0.2, // 400 × 2 + 3 × 8
		64, 0.0864, // 4 × 16
	}
	got := s.results()
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d", len(got), len(want))
	}
	for i, r := range got {
		if diff := r.value - want[i]; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("%s: %v, want %v", r.name, r.value, want[i])
		}
	}
	s.users = 1
	if got := s.replicas(); got != leastReplicas {
		t.Errorf("one user needs %v replicas, want %d", got, leastReplicas)
	}
}

func TestNumbersAreGroupedAndShort(t *testing.T) {
	for want, n := range map[string]float64{"0": 0, "12": 12, "0.3": 0.3, "1 000": 1000, "10 000 000": 10e6, "1 234.57": 1234.567} {
		if got := number(n, 2); got != want {
			t.Errorf("%v is %q, want %q", n, got, want)
		}
	}
}

func TestOwnNumbersGiveOneColumn(t *testing.T) {
	var out strings.Builder
	if err := run([]string{"-users", "864000", "-active", "1", "-vends", "10", "-peak", "1"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"|  |  | yours |", "| users | U | 864 000 |", "| vends a second, mean | U × A × S × V / 86 400 | **100** |"} {
		if !strings.Contains(out.String(), row) {
			t.Errorf("no %q in\n%s", row, out.String())
		}
	}
	for _, args := range [][]string{{"-users", "0"}, {"-active", "-1"}, {"10000000"}, {"-vends", "many"}} {
		if err := run(args, &out); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func scaling(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestScalingGuideHasTheModelsTable(t *testing.T) {
	if want := table(scenarios()); !strings.Contains(scaling(t), want) {
		t.Errorf("docs/scaling.md does not have the output of `go run ./bench/model`:\n%s", want)
	}
}

func TestScalingGuideNamesRealMetrics(t *testing.T) {
	var source strings.Builder
	err := filepath.WalkDir("../../internal", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		source.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`dropgate_[a-z_]+`).FindAllString(scaling(t), -1)
	if len(names) < 5 {
		t.Fatalf("the guide names only %q", names)
	}
	for _, name := range names {
		plain := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} { // of a histogram
			plain = strings.TrimSuffix(plain, suffix)
		}
		if !strings.Contains(source.String(), `"`+plain+`"`) {
			t.Errorf("the guide names %s, which no package registers", name)
		}
	}
}
