package deploy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// releaseConfig is what these tests read of .goreleaser.yaml.
type releaseConfig struct {
	Builds []struct {
		ID      string
		Env     []string
		Flags   []string
		Tags    []string
		LDFlags []string
		Targets []string
	}
	Archives []struct{ Files []struct{ Src string } }
}

func readRelease(t *testing.T) releaseConfig {
	t.Helper()
	var config releaseConfig
	if err := yaml.Unmarshal([]byte(readFile(t, "../.goreleaser.yaml")), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Builds) != 2 {
		t.Fatalf("%d builds, want the server and the sandbox", len(config.Builds))
	}
	return config
}

func TestImageUsesTheMakefilesSBOMTool(t *testing.T) {
	version := regexp.MustCompile(`CYCLONEDX_(?:GOMOD_)?VERSION *:?= *(v[0-9.]+)`)
	image, makefile := version.FindStringSubmatch(readFile(t, "../Dockerfile")), version.FindStringSubmatch(readFile(t, "../Makefile"))
	if image == nil || makefile == nil || image[1] != makefile[1] {
		t.Errorf("the Dockerfile has %v, the Makefile %v", image, makefile)
	}
}

// TestReleaseAndImageBuildAlike: make verify-release compares the binaries themselves.
func TestReleaseAndImageBuildAlike(t *testing.T) {
	builds := regexp.MustCompile(`CGO_ENABLED=0[^\n]*\\\n *go build (-trimpath .*) -o /out/(\w+) `).FindAllStringSubmatch(readFile(t, "../Dockerfile"), -1)
	images := map[string]string{}
	for _, build := range builds {
		images[build[2]] = build[1]
	}
	for _, build := range readRelease(t).Builds {
		flags := "-trimpath "
		if len(build.Tags) > 0 {
			flags += "-tags " + strings.Join(build.Tags, ",") + " "
		}
		flags += `-ldflags "` + strings.NewReplacer("v{{ .Version }}", "$VERSION", "{{ .FullCommit }}", "$REVISION").Replace(strings.Join(build.LDFlags, " ")) + `"`
		if flags != images[build.ID] {
			t.Errorf("%s: the release has the flags %q, the image %q", build.ID, flags, images[build.ID])
		}
		if !slices.Contains(build.Flags, "-trimpath") || !slices.Contains(build.Env, "CGO_ENABLED=0") {
			t.Errorf("%s: flags %v, environment %v, want -trimpath and CGO_ENABLED=0", build.ID, build.Flags, build.Env)
		}
	}
	shown := "CGO_ENABLED=0 go build " + strings.NewReplacer("-trimpath ", "-trimpath -buildvcs=false ", "$VERSION", "v1.2.3", "$REVISION", "$(git rev-parse HEAD)").Replace(images["server"])
	if !strings.Contains(readFile(t, "../docs/release.md"), shown+" ./cmd/server\n") {
		t.Errorf("docs/release.md lacks the command %s ./cmd/server", shown)
	}
}

func TestArchivesHoldDocumentsThatExist(t *testing.T) {
	for _, archive := range readRelease(t).Archives {
		var files []string
		for _, file := range archive.Files {
			files = append(files, file.Src)
			if _, err := os.Stat(filepath.Join("..", file.Src)); err != nil {
				t.Error(err)
			}
		}
		if want := []string{"LICENSE", "README.md", "CHANGELOG.md", "api/openapi.yaml"}; !slices.Equal(files, want) {
			t.Errorf("an archive has %v, want %v", files, want)
		}
	}
}

// script runs a script of hack/ with more environment variables.
func script(t *testing.T, environment []string, name string, args ...string) (output string, code int) {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), "../hack/"+name, args...)
	command.Env = append(os.Environ(), environment...)
	out, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

func TestReleaseNotesAreTheVersionsSection(t *testing.T) {
	file := filepath.Join(t.TempDir(), "CHANGELOG.md")
	const changelog = "# Changelog\n\n## Unreleased\n\n- later\n\n## 1.2.30 - 2026-02-01\n\n- thirty\n\n## 1.2.3 - 2026-01-01\n\n### Added\n\n- three\n\n## 1.0.0\n"
	if err := os.WriteFile(file, []byte(changelog), 0o600); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{
		"v1.2.3": "### Added\n\n- three\n", "1.2.3": "### Added\n\n- three\n", "v1.2.30": "- thirty\n",
	} {
		if got, code := script(t, []string{"CHANGELOG=" + file}, "release-notes", version); got != want || code != 0 {
			t.Errorf("%s: %q, exit code %d, want %q", version, got, code, want)
		}
	}
	for _, version := range []string{"v1.2", "v9.9.9", "v1.0.0", "v1.2.3.", ""} {
		if got, code := script(t, []string{"CHANGELOG=" + file}, "release-notes", version); code == 0 || !strings.Contains(got, "before you tag") {
			t.Errorf("%q: %q, exit code %d, want a fault", version, got, code)
		}
	}
}

// TestPushedImageIsNamedByDigest replaces docker by a program that writes its metadata.
func TestPushedImageIsNamedByDigest(t *testing.T) {
	digest := "sha256:" + strings.Repeat("5e", 32)
	for metadata, code := range map[string]int{`{"containerimage.digest": "` + digest + `"}`: 0, `{}`: 1} {
		tools := t.TempDir()
		docker := "#!/bin/sh\necho \"$@\"\nwhile [ \"$1\" != --metadata-file ]; do shift; done\ncat >\"$2\" <<'END'\n" + metadata + "\nEND\n"
		if err := os.WriteFile(filepath.Join(tools, "docker"), []byte(docker), 0o700); err != nil {
			t.Fatal(err)
		}
		outputs := filepath.Join(tools, "outputs")
		said, got := script(t, []string{
			"PATH=" + tools + ":" + os.Getenv("PATH"), "GITHUB_OUTPUT=" + outputs, "IMAGE=ghcr.io/Owner/dropgate", "VERSION=v1.2.3", "REVISION=abc", "SOURCE=https://example.com/dropgate",
		}, "push-image")
		if got != code || !strings.Contains(said, "--tag ghcr.io/owner/dropgate:1.2.3 ") || !strings.Contains(said, "VERSION=v1.2.3 ") {
			t.Errorf("exit code %d, want %d:\n%s", got, code, said)
		}
		if code != 0 {
			continue
		}
		if want := "name=ghcr.io/owner/dropgate\ndigest=" + digest + "\nimage=ghcr.io/owner/dropgate@" + digest + "\n"; readFile(t, outputs) != want {
			t.Errorf("outputs %q, want %q", readFile(t, outputs), want)
		}
	}
}
