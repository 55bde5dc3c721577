package app_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents returns the Markdown files of the repository by path, without the
// contents of code blocks.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if skipped(path, entry) {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := fs.ReadFile(root, path)
		found[path] = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(string(text), "")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// skipped reports whether a folder holds files of others: a hidden one, or packages
// from npm.
func skipped(path string, entry fs.DirEntry) bool {
	return entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules")
}

// linksOf returns the links of a document to this repository, as "file#heading"
// or "file".
func linksOf(document, text string) []string {
	var links []string
	for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		file, heading, found := strings.Cut(link[1], "#")
		target := document
		if file != "" {
			target = path.Join(path.Dir(document), file)
		}
		if found {
			target += "#" + heading
		}
		links = append(links, target)
	}
	return links
}

// anchor is the fragment GitHub gives a heading.
func anchor(heading string) string {
	heading = regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(heading, " ", "-")
}

func TestDocumentsHaveNoBrokenLinks(t *testing.T) {
	all := documents(t)
	anchors := map[string]bool{}
	for document, text := range all {
		for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
			anchors[document+"#"+anchor(heading[1])] = true
		}
	}
	for document, text := range all {
		for _, link := range linksOf(document, text) {
			file, _, hasHeading := strings.Cut(link, "#")
			if _, err := os.Stat(filepath.Join("../..", file)); err != nil {
				t.Errorf("%s links to %s, which does not exist", document, file)
			} else if hasHeading && filepath.Ext(file) == ".md" && !anchors[link] {
				t.Errorf("%s links to %s, which has no such heading", document, link)
			}
		}
	}
}

// TestEveryDocumentIsReachable follows the links from the README.
func TestEveryDocumentIsReachable(t *testing.T) {
	all := documents(t)
	reached := []string{"README.md"}
	for i := 0; i < len(reached); i++ {
		for _, link := range linksOf(reached[i], all[reached[i]]) {
			file, _, _ := strings.Cut(link, "#")
			if all[file] != "" && !slices.Contains(reached, file) {
				reached = append(reached, file)
			}
		}
	}
	for document := range all {
		if !slices.Contains(reached, document) {
			t.Errorf("no link leads to %s", document)
		}
	}
}

func TestReadmeMapsEveryPackage(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	root := os.DirFS("../..")
	for _, top := range []string{"cmd", "internal"} {
		err := fs.WalkDir(root, top, func(file string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(file) != ".go" || strings.Contains(file, "testdata/") {
				return err
			}
			folder := path.Dir(file)
			name := path.Base(folder)
			isDouble := strings.HasSuffix(name, "test") && strings.Contains(string(readme), "`"+name+"`")
			if !isDouble && !strings.Contains(string(readme), "`"+folder+"`") {
				t.Errorf("the README's map of the code lacks %s", folder)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
