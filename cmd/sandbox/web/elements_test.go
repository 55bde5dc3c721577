package web_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"dropgate/cmd/sandbox/web"
	"dropgate/internal/clienttoken"
)

func TestLibraryHasEveryComponentOfTheService(t *testing.T) {
	t.Parallel()
	elements := find(web.Library(), `(?m)^  "(dwolla-[a-z-]+)": \w+,$`)
	for _, component := range clienttoken.Components() {
		if !slices.Contains(elements, string(component)) {
			t.Errorf("the library lacks %s", component)
		}
	}
}

func TestDocumentationListsEveryElement(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/stand-in.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := find(page, "(?m)^\\| `(dwolla-[a-z-]+)` \\|")
	elements := find(web.Library(), `(?m)^  "(dwolla-[a-z-]+)": \w+,$`)
	if !slices.Equal(documented, elements) {
		t.Errorf("docs/stand-in.md lists\n%q, the library has\n%q", documented, elements)
	}
}

func TestDocumentationListsEveryCustomProperty(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/stand-in.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := find(page, "`(--dwolla-[a-z-]+)`")
	used := find(web.LibraryStyles(), `var\((--dwolla-[a-z-]+),`)
	slices.Sort(documented)
	slices.Sort(used)
	if !slices.Equal(documented, used) {
		t.Errorf("docs/stand-in.md lists\n%q, the style sheet uses\n%q", documented, used)
	}
}

// find returns the first group of every match.
func find(text []byte, pattern string) []string {
	var found []string
	for _, match := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
		found = append(found, string(match[1]))
	}
	return found
}
