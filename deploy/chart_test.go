package deploy_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	networkingv1 "k8s.io/api/networking/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const chartFolder = "helm/dropgate"

// values are Helm values.
type values = map[string]any

// parseValues reads values from YAML.
func parseValues(t *testing.T, text string) values {
	t.Helper()
	v := values{}
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// valueSets returns the sets of values in ci, by name.
func valueSets(t *testing.T) map[string]values {
	t.Helper()
	files, err := filepath.Glob(chartFolder + "/ci/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sets of values: %v", err)
	}
	sets := map[string]values{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sets[strings.TrimSuffix(filepath.Base(file), ".yaml")] = parseValues(t, string(text))
	}
	return sets
}

// changed returns the set minimal with changes; the first one wins. A null removes a value.
func changed(t *testing.T, changes ...string) values {
	t.Helper()
	v := values{}
	for _, change := range changes {
		v = chartutil.MergeTables(v, parseValues(t, change))
	}
	return chartutil.MergeTables(v, valueSets(t)["minimal"])
}

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartFolder)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// renderFiles renders the chart as helm template does, as the release dropgate in the
// namespace dropgate.
func renderFiles(c *chart.Chart, v values) (map[string]string, error) {
	release := chartutil.ReleaseOptions{Name: "dropgate", Namespace: "dropgate", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, v, release, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, fmt.Errorf("the schema: %w", err)
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, fmt.Errorf("the templates: %w", err)
	}
	return files, nil
}

// rendering is a rendered chart.
type rendering struct {
	manifest

	documents []string // of all objects, but the Pod of helm test
	test      string   // the Pod of helm test
	notes     string
}

func renderChart(t *testing.T, v values) rendering {
	t.Helper()
	files, err := renderFiles(loadChart(t), v)
	if err != nil {
		t.Fatal(err)
	}
	r := rendering{manifest: manifest{networkPolicies: map[string]*networkingv1.NetworkPolicy{}}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch {
		case strings.HasSuffix(name, "NOTES.txt"):
			r.notes = files[name]
		case strings.Contains(name, "/tests/"):
			r.test = files[name]
		case !strings.HasSuffix(name, ".tpl"):
			r.documents = append(r.documents, documentsOf(t, files[name])...)
		}
	}
	for _, document := range r.documents {
		object, err := decode([]byte(document))
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if err := r.add(object); err != nil {
			t.Fatal(err)
		}
	}
	r.server = r.deployment.Spec.Template.Spec.Containers[0]
	return r
}

// documentsOf splits YAML into its documents, without those that have comments only.
func documentsOf(t *testing.T, text string) []string {
	t.Helper()
	var documents []string
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			t.Fatal(err)
		}
		var content any
		if err := yaml.UnmarshalStrict(document, &content); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if content != nil {
			documents = append(documents, string(bytes.TrimSpace(document)))
		}
	}
}

// eachSet runs check on the rendering of each set of values.
func eachSet(t *testing.T, check func(t *testing.T, r rendering)) {
	t.Helper()
	for name, v := range valueSets(t) {
		t.Run(name, func(t *testing.T) { check(t, renderChart(t, v)) })
	}
}
