package handler_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestErrorsPageListsEveryCode(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	for _, path := range []string{"../clienttoken/errors.go", "problem.go"} {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`Code += "(\w+)"`).FindAllStringSubmatch(string(source), -1) {
			codes++
			if !strings.Contains(string(page), "| `"+found[1]+"` |") {
				t.Errorf("docs/errors.md has no row for %s", found[1])
			}
		}
	}
	if codes < 20 {
		t.Errorf("found only %d codes in the source", codes)
	}
}
