package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHardeningNamesOnlyTestsThatExist reads docs/hardening.md, in which each row
// of a table ends with packages and, after each of them, the names of its tests.
func TestHardeningNamesOnlyTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/hardening.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := testsByFolder(t, "../..")
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| promise ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		rows++
		folder, named := "", 0
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1) {
			if !regexp.MustCompile(`^(Test|Fuzz)[A-Z]`).MatchString(code[1]) {
				folder = code[1]
				continue
			}
			named++
			if !exists[folder+" "+code[1]] {
				t.Errorf("%q has no test %s; named for %q", folder, code[1], strings.TrimSpace(cells[0]))
			}
		}
		if named == 0 {
			t.Errorf("no test holds %q", strings.TrimSpace(cells[0]))
		}
	}
	if rows == 0 {
		t.Error("the page has no rows")
	}
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
