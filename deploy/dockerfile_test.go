package deploy_test

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// dockerfile returns the instructions of each stage by its name, and the name
// of the last one.
func dockerfile(t *testing.T) (stages map[string][]string, last string) {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages = map[string][]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasPrefix(line, "FROM ") {
			words := strings.Fields(line)
			last = words[len(words)-1]
		}
		stages[last] = append(stages[last], line)
	}
	return stages, last
}

func TestImagesUseNumericNonRootUser(t *testing.T) {
	stages, last := dockerfile(t)
	if last != "server" {
		t.Errorf("the last stage is %q, want server", last)
	}
	for _, name := range []string{"server", "sandbox"} {
		stage := stages[name]
		if !slices.Contains(stage, "USER 65532:65532") {
			t.Errorf("%s does not say USER 65532:65532", name)
		}
		if !slices.Contains(stage, `ENTRYPOINT ["/`+name+`"]`) {
			t.Errorf("%s does not start /%s", name, name)
		}
	}
}

func TestServerImageContainsNoSandbox(t *testing.T) {
	stages, _ := dockerfile(t)
	var copied []string
	for _, line := range stages["server"] {
		if words := strings.Fields(line); words[0] == "COPY" || words[0] == "ADD" {
			copied = append(copied, path.Base(words[len(words)-1]))
		}
	}
	if want := []string{"server", "dropgate.cdx.json", "/"}; !slices.Equal(copied, want) {
		t.Errorf("the server image holds %v, want %v", copied, want)
	}
}

// TestBaseImagesCanBePinnedByDigest: an ARG before the first FROM can name another one.
func TestBaseImagesCanBePinnedByDigest(t *testing.T) {
	stages, _ := dockerfile(t)
	for stage, want := range map[string]string{"golang": "FROM --platform=$BUILDPLATFORM ${GOLANG_IMAGE} AS golang", "server": "FROM ${RUNTIME_IMAGE} AS server", "sandbox": "FROM ${RUNTIME_IMAGE} AS sandbox"} {
		if len(stages[stage]) == 0 || stages[stage][0] != want {
			t.Errorf("%s starts with %v, want %s", stage, stages[stage], want)
		}
	}
	for _, want := range []string{"ARG GOLANG_IMAGE=golang:1.26", "ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot"} {
		if !slices.Contains(stages[""], want) {
			t.Errorf("the Dockerfile does not begin with %s", want)
		}
	}
}

// TestServerImageChecksItsHealth: the image has no shell, so the server asks itself.
func TestServerImageChecksItsHealth(t *testing.T) {
	stages, _ := dockerfile(t)
	if !slices.ContainsFunc(stages["server"], func(line string) bool {
		return strings.HasPrefix(line, "HEALTHCHECK ") && strings.HasSuffix(line, `CMD ["/server", "-healthcheck"]`)
	}) {
		t.Error("the server has no HEALTHCHECK with -healthcheck")
	}
}

// TestDefaultDatabaseIsOnTheVolume: DATABASE_URL's default is a file in the current
// folder.
func TestDefaultDatabaseIsOnTheVolume(t *testing.T) {
	stages, _ := dockerfile(t)
	for _, want := range []string{"COPY --from=source --chown=65532:0 /skeleton/ /", "WORKDIR /data", "VOLUME /data"} {
		if !slices.Contains(stages["server"], want) {
			t.Errorf("the server's stage does not say %s", want)
		}
	}
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil || !strings.Contains(string(text), "`sqlite:dropgate.db`") {
		t.Errorf("the default database is no longer dropgate.db in the current folder: %v", err)
	}
}
