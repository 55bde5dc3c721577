package app_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// samples returns the code blocks of all documents, by "file:number".
func samples(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	block := regexp.MustCompile("(?ms)^ *```[a-z]*\n(.*?)^ *```")
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		documents := []string{".md", ".yaml", ".conf", ".html"}
		if err == nil && skipped(path, entry) {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || !slices.Contains(documents, filepath.Ext(path)) {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if filepath.Ext(path) != ".md" {
			found[path] = string(text)
			return err
		}
		for _, code := range block.FindAllStringSubmatchIndex(string(text), -1) {
			name := path + " at byte " + strconv.Itoa(code[2])
			found[name] = string(text[code[2]:code[3]])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The drop-in calls success for errors of Dwolla's API too, without a location.
func TestSampleCallbacksCheckLocation(t *testing.T) {
	callbacks := 0
	for name, code := range samples(t) {
		if !regexp.MustCompile(`\bsuccess\s*[:=(]`).MatchString(code) {
			continue
		}
		callbacks++
		if !regexp.MustCompile(`response\.location\s*&&|if \(!?response\.location`).MatchString(code) {
			t.Errorf("%s does not check for response.location:\n%s", name, code)
		}
	}
	if callbacks == 0 {
		t.Error("no document shows a success callback")
	}
}

// $host drops the port of the request, and the origin check compares it.
func TestNginxSamplesPassHostAndPort(t *testing.T) {
	proxies := 0
	for name, code := range samples(t) {
		if !strings.Contains(code, "proxy_pass") && !strings.Contains(code, "proxy_set_header") {
			continue
		}
		proxies++
		if !regexp.MustCompile(`proxy_set_header\s+Host\s+\$http_host\s*;`).MatchString(code) || regexp.MustCompile(`\$host\b;`).MatchString(code) {
			t.Errorf("%s does not pass $http_host:\n%s", name, code)
		}
	}
	if proxies == 0 {
		t.Error("no document shows nginx")
	}
}
