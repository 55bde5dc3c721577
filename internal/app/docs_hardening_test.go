package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHardeningPageNamesExistingTests reads the tables of docs/hardening.md. Each
// row ends with packages, and with tests after each package.
func TestHardeningPageNamesExistingTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := testsByFolder(t, "../..")
	rows := regexp.MustCompile(`(?m)^\| (.*) \| ([^|]*) \|$`).FindAllStringSubmatch(string(text), -1)
	for _, row := range rows {
		promise := row[1]
		if promise == "promise" || strings.HasPrefix(promise, "---") {
			continue
		}
		tests := testsNamed(row[2])
		if len(tests) == 0 {
			t.Errorf("no test holds %q", promise)
		}
		for _, test := range tests {
			if !exists[test] {
				t.Errorf("there is no test %q; named for %q", test, promise)
			}
		}
	}
	if len(rows) < 3 {
		t.Error("the page has no rows")
	}
}

// testsNamed returns the tests of a cell, as "folder name".
func testsNamed(cell string) (tests []string) {
	folder := ""
	for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		if regexp.MustCompile(`^(Test|Fuzz)[A-Z]`).MatchString(code[1]) {
			tests = append(tests, folder+" "+code[1])
		} else {
			folder = code[1]
		}
	}
	return tests
}

// testsByFolder returns the tests and fuzz targets below root, as "folder name".
func testsByFolder(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
			found[filepath.ToSlash(filepath.Dir(path))+" "+name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
