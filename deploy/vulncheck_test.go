package deploy_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// fakeTool writes a program that prints a text and exits with a code.
func fakeTool(t *testing.T, dir, name, text string, code int) string {
	t.Helper()
	file := filepath.Join(dir, name)
	script := "#!/bin/sh\ncat <<'END'\n" + text + "\nEND\nexit " + strconv.Itoa(code) + "\n"
	if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// The answers of npm audit: nothing known, one known, and no answer.
const (
	npmNone  = `{"metadata":{"vulnerabilities":{"total":0}}}`
	npmFound = `{"metadata":{"vulnerabilities":{"total":1}}}`
	npmAway  = `{"message":"405 Method Not Allowed"}`
)

func TestVulncheckTellsFindingsFromOutagesAndFaults(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("hack/vulncheck reads npm's answer with node")
	}
	database := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(database.Close)
	const nowhere = "http://127.0.0.1:1"
	for name, c := range map[string]struct {
		db, required string
		govulncheck  int
		npm          string
		code         int
		says         string
	}{
		"nothing is known":               {db: database.URL, npm: npmNone, says: "no known vulnerability"},
		"Go code is vulnerable":          {db: database.URL, govulncheck: 3, npm: npmNone, code: 1, says: "vulnerable"},
		"an npm package is vulnerable":   {db: database.URL, npm: npmFound, code: 1, says: "vulnerable"},
		"the tool is broken":             {db: database.URL, govulncheck: 1, npm: npmNone, code: 2, says: "although the database answers"},
		"a broken tool hides a finding":  {db: database.URL, govulncheck: 1, npm: npmFound, code: 2, says: "incomplete"},
		"the Go database is away":        {db: nowhere, govulncheck: 3, npm: npmNone, says: "skipped: the Go vulnerability database"},
		"the file database is away":      {db: "file:///nowhere", govulncheck: 3, npm: npmNone, says: "skipped: the Go vulnerability database"},
		"the registry does not audit":    {db: database.URL, npm: npmAway, says: "skipped: the npm registry does not audit: 405"},
		"both are away":                  {db: nowhere, npm: npmAway, says: "nothing was checked"},
		"a required Go database is away": {db: nowhere, required: "1", npm: npmNone, code: 2, says: "out of reach"},
		"a required registry is away":    {db: database.URL, required: "1", npm: npmAway, code: 2, says: "does not audit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tools := t.TempDir()
			fakeTool(t, tools, "npm", c.npm, 1)
			said, code := script(t, []string{
				"PATH=" + tools + ":" + os.Getenv("PATH"), "GOVULNDB=" + c.db, "VULNDB_REQUIRED=" + c.required,
				"GOVULNCHECK=" + fakeTool(t, tools, "govulncheck", "scanned", c.govulncheck),
			}, "vulncheck")
			if code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.says, said)
			}
		})
	}
}
