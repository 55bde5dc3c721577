package app_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestIntegrationGuideShowsTriedProxies compares the samples of docs/integrate.md
// with the files that `make test-proxies` runs.
func TestIntegrationGuideShowsTriedProxies(t *testing.T) {
	files := map[string]string{"nginx": "nginx.conf", "caddyfile": "Caddyfile", "haproxy": "haproxy.cfg", "yaml": "traefik.yaml"}
	guide, err := os.ReadFile("../../docs/integrate.md")
	if err != nil {
		t.Fatal(err)
	}
	for language, name := range files {
		file, err := os.ReadFile("../../examples/proxies/" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(string(guide), -1)
		if len(blocks) == 0 {
			t.Errorf("the guide does not show %s", name)
		}
		for _, block := range blocks {
			for part := range strings.SplitSeq(block[1], "\n\n") {
				if !strings.Contains(unindented(string(file)), unindented(part)) {
					t.Errorf("%s does not contain\n%s", name, part)
				}
			}
		}
	}
}

// unindented removes the spaces at both ends of each line.
func unindented(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
