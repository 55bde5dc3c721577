package web_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dropgate/cmd/sandbox/web"
)

func TestLibraryContainsEveryPartInOrder(t *testing.T) {
	t.Parallel()
	parts, err := filepath.Glob("dwolla-web/*.js")
	if err != nil || len(parts) < 2 {
		t.Fatalf("found %d parts of the library: %v", len(parts), err)
	}
	rest := web.Library()
	for _, name := range parts {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, after, found := bytes.Cut(rest, part)
		if !found {
			t.Errorf("%s is missing, or after a later part", name)
			continue
		}
		rest = after
	}
}

// Requests to a third host would break the sandbox offline.
func TestLibraryNamesOnlyDwollasHost(t *testing.T) {
	t.Parallel()
	for _, content := range [][]byte{web.Library(), web.LibraryStyles()} {
		for i, text := range strings.Split(string(content), "://") {
			if i > 0 && !strings.HasPrefix(text, "api-sandbox.dwolla.com\"") {
				t.Errorf("the library names another host: %.40q", text)
			}
		}
	}
}
