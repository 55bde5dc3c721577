package deploy_test

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// workflow is what these tests read of a workflow. make lint checks the rest with
// actionlint.
type workflow struct {
	Permissions map[string]string
	Concurrency struct{ Group string }
	Jobs        map[string]job
}

type job struct {
	Uses           string
	TimeoutMinutes int `json:"timeout-minutes"`
	Permissions    map[string]string
	Steps          []struct {
		Uses string
		With map[string]any
	}
}

// workflows are GitHub's workflows of this repository, by file name.
func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob("../.github/workflows/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows: %v", err)
	}
	all := map[string]workflow{}
	for _, file := range files {
		var w workflow
		if err := yaml.Unmarshal([]byte(readFile(t, file)), &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = w
	}
	return all
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// byVersion are the actions with an unknown commit, as name@version. Each needs a reason.
func byVersion() []string { return nil }

func TestActionsArePinnedByCommit(t *testing.T) {
	pinned := regexp.MustCompile(`(?m)^ *(?:- )?uses: (?:[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./.github/workflows/[a-z]+\.yml)$`)
	for name := range workflows(t) {
		for line := range strings.Lines(readFile(t, "../.github/workflows/"+name)) {
			_, action, found := strings.Cut(strings.TrimSpace(line), "uses: ")
			if found && !pinned.MatchString(strings.TrimRight(line, "\n")) && !slices.Contains(byVersion(), action) {
				t.Errorf("%s: %s: want a full commit with its version in a comment", name, action)
			}
		}
	}
}

// TestWorkflowsMayWriteOnlyWhereNeeded keeps writes out of every workflow but the release.
func TestWorkflowsMayWriteOnlyWhereNeeded(t *testing.T) {
	for name, w := range workflows(t) {
		if !maps.Equal(w.Permissions, map[string]string{"contents": "read"}) {
			t.Errorf("%s: permissions %v, want contents: read alone", name, w.Permissions)
		}
		for id, job := range w.Jobs {
			if job.Permissions != nil && name != "release.yml" {
				t.Errorf("%s: job %s has permissions of its own", name, id)
			}
		}
	}
}

func TestWorkflowsAreBoundedAndReplaceable(t *testing.T) {
	for name, w := range workflows(t) {
		if w.Concurrency.Group == "" {
			t.Errorf("%s has no concurrency group", name)
		}
		for id, job := range w.Jobs {
			if job.TimeoutMinutes == 0 && job.Uses == "" {
				t.Errorf("%s: job %s has no timeout-minutes", name, id)
			}
		}
	}
}

// eachAction calls f for each use of an action, with its inputs.
func eachAction(t *testing.T, f func(workflow, action string, with map[string]any)) {
	t.Helper()
	for name, w := range workflows(t) {
		for _, job := range w.Jobs {
			for _, step := range job.Steps {
				if action, _, found := strings.Cut(step.Uses, "@"); found {
					f(name, action, step.With)
				}
			}
		}
	}
}

// TestCheckoutsKeepNoCredentials: later steps could read a token in .git/config.
func TestCheckoutsKeepNoCredentials(t *testing.T) {
	eachAction(t, func(workflow, action string, with map[string]any) {
		if action == "actions/checkout" && with["persist-credentials"] != false {
			t.Errorf("%s: a checkout without persist-credentials: false", workflow)
		}
	})
}

// TestWorkflowsUseTheModulesGo also refuses a version of golangci-lint beside the Makefile's.
func TestWorkflowsUseTheModulesGo(t *testing.T) {
	found := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../go.mod"))
	if found == nil {
		t.Fatal("go.mod names no Go version")
	}
	eachAction(t, func(workflow, action string, with map[string]any) {
		if got := with["go-version"]; action == "actions/setup-go" && got != found[1]+".x" {
			t.Errorf("%s: Go %v, but go.mod has %s", workflow, got, found[1])
		}
	})
	if !strings.Contains(readFile(t, "../Dockerfile"), "golang:"+found[1]) {
		t.Errorf("the Dockerfile has another Go than go.mod (%s)", found[1])
	}
	for name := range workflows(t) {
		if text := readFile(t, "../.github/workflows/"+name); strings.Contains(text, "golangci") {
			t.Errorf("%s names golangci-lint: use make lint, with the Makefile's version", name)
		}
	}
}

// TestWorkflowsRunEveryStepOfCI compares them with .ci/run.
func TestWorkflowsRunEveryStepOfCI(t *testing.T) {
	target := regexp.MustCompile(`\bmake ([a-z-]+)`)
	var used []string
	for name := range workflows(t) {
		for _, found := range target.FindAllStringSubmatch(readFile(t, "../.github/workflows/"+name), -1) {
			used = append(used, found[1])
		}
	}
	steps := regexp.MustCompile(`(?m)^make ([a-z-]+)`).FindAllStringSubmatch(readFile(t, "../.ci/run"), -1)
	if len(steps) == 0 {
		t.Fatal(".ci/run has no steps")
	}
	for _, step := range steps {
		if !slices.Contains(used, step[1]) {
			t.Errorf("no workflow runs make %s, but .ci/run does", step[1])
		}
	}
	makefile := readFile(t, "../Makefile")
	for _, name := range used {
		if !strings.Contains(makefile, "\n"+name+":") {
			t.Errorf("a workflow runs make %s, and the Makefile has no such target", name)
		}
	}
}

// TestDependabotWatchesEveryManifest compares it with the files under version control.
func TestDependabotWatchesEveryManifest(t *testing.T) {
	var config struct {
		Updates []struct {
			Ecosystem   string   `json:"package-ecosystem"`
			Directories []string `json:"directories"`
		} `json:"updates"`
	}
	if err := yaml.Unmarshal([]byte(readFile(t, "../.github/dependabot.yml")), &config); err != nil {
		t.Fatal(err)
	}
	watched := map[string][]string{}
	for _, u := range config.Updates {
		watched[u.Ecosystem] = append(watched[u.Ecosystem], u.Directories...)
	}
	manifests := map[string][]string{}
	for ecosystem, pattern := range map[string]string{
		"gomod": "*go.mod", "npm": "*package.json", "docker": "*Dockerfile",
	} {
		files, err := exec.CommandContext(t.Context(), "git", "-C", "..", "ls-files", pattern).Output()
		if err != nil {
			t.Fatal(err)
		}
		for file := range strings.FieldsSeq(string(files)) {
			if folder := path.Join("/", path.Dir(file)); !slices.Contains(manifests[ecosystem], folder) {
				manifests[ecosystem] = append(manifests[ecosystem], folder)
			}
		}
	}
	manifests["github-actions"] = []string{"/"}
	for ecosystem, folders := range manifests {
		slices.Sort(folders)
		slices.Sort(watched[ecosystem])
		if !slices.Equal(folders, watched[ecosystem]) {
			t.Errorf("dependabot watches %s in %v, want %v", ecosystem, watched[ecosystem], folders)
		}
	}
}
