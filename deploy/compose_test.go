package deploy_test

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
)

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	for name, service := range compose(t).Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %d on %q, want 127.0.0.1", name, port.Target, port.HostIP)
			}
		}
		if service.NetworkMode != "" {
			t.Errorf("%s has network_mode %q, want the project's own network", name, service.NetworkMode)
		}
	}
}

func TestComposeIsNonRootAndReadOnly(t *testing.T) {
	for name, service := range compose(t).Services {
		if service.User != "65532:65532" || service.Privileged {
			t.Errorf("%s runs as %q, privileged %v, want 65532:65532 without privileges", name, service.User, service.Privileged)
		}
		if !service.ReadOnly {
			t.Errorf("%s has a root file system to write on", name)
		}
		if !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) > 0 {
			t.Errorf("%s drops %v and adds %v, want every capability dropped", name, service.CapDrop, service.CapAdd)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s has security_opt %v, want no-new-privileges:true", name, service.SecurityOpt)
		}
	}
}

func TestComposeGivesSecretsAsFilesWithDemoValues(t *testing.T) {
	project := compose(t)
	server := project.Services["server"]
	for name := range server.Environment {
		if holdsSecret(name) {
			t.Errorf("%s is given as a value, want %s_FILE", name, name)
		}
	}
	if len(server.Secrets) != 1 {
		t.Fatalf("the server has %d secrets, want 1", len(server.Secrets))
	}
	secret := server.Secrets[0].Source
	if got, want := environmentOf(server)["DWOLLA_CLIENT_SECRET_FILE"], "/run/secrets/"+secret; got != want {
		t.Errorf("DWOLLA_CLIENT_SECRET_FILE = %q, want %q", got, want)
	}
	// Compose cannot place any other kind on a read-only file system.
	file := project.Secrets[secret].File
	if !strings.HasPrefix(filepath.Base(file), "demo-") {
		t.Fatalf("the secret is in %q, want a file whose name says that it is a demo", file)
	}
	if value, err := os.ReadFile(file); err != nil || string(value) != "sandbox-secret" {
		t.Errorf("the secret is %q, %v, want the one that the emulator accepts", value, err)
	}
}

// The issuer has to be the same string in the tokens and in the server, and
// lead from the server's container to the provider.
func TestComposeTokensAndServerAgreeOnTheIssuer(t *testing.T) {
	project := compose(t)
	backends, server := project.Services["backends"], environmentOf(project.Services["server"])
	if !slices.Contains(backends.Command, "-backends") {
		t.Errorf("command = %v, want -backends", backends.Command)
	}
	issuer := server["AUTH_BEARER_ISSUER"]
	if got := flagOf(backends.Command, "-provider-issuer"); got != issuer {
		t.Errorf("-provider-issuer = %q, want AUTH_BEARER_ISSUER = %q", got, issuer)
	}
	for name, listen := range map[string]string{
		issuer:                    flagOf(backends.Command, "-provider-addr"),
		server["DWOLLA_BASE_URL"]: flagOf(backends.Command, "-emulator-addr"),
	} {
		u, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if u.Hostname() != "backends" || listen != "0.0.0.0:"+u.Port() {
			t.Errorf("the server asks %s, but backends listens on %q", name, listen)
		}
		if !slices.ContainsFunc(backends.Ports, func(p composetypes.ServicePortConfig) bool { return p.Published == u.Port() }) {
			t.Errorf("port %s is not published for curl", u.Port())
		}
	}
}

func TestComposeDrainFitsTheStopGracePeriod(t *testing.T) {
	server := compose(t).Services["server"]
	delay, timeout := shutdown(t, environmentOf(server))
	if server.StopGracePeriod == nil || time.Duration(*server.StopGracePeriod) <= delay+timeout {
		t.Errorf("stop_grace_period = %v, want more than %v + %v", server.StopGracePeriod, delay, timeout)
	}
}

func TestComposeSetsEverythingRequired(t *testing.T) {
	server := compose(t).Services["server"]
	environment := environmentOf(server)
	for _, name := range requiredNames() {
		if environment[name] == "" {
			t.Errorf("%s is not set", name)
		}
	}
	if environment["DWOLLA_ENVIRONMENT"] != "sandbox" {
		t.Errorf("DWOLLA_ENVIRONMENT = %q, want sandbox", environment["DWOLLA_ENVIRONMENT"])
	}
}

func TestComposeBuildsEachServiceFromItsOwnTarget(t *testing.T) {
	for name, want := range map[string]string{"server": "server", "backends": "sandbox"} {
		build := compose(t).Services[name].Build
		if build == nil || build.Target != want {
			t.Errorf("%s is built by %+v, want target %q", name, build, want)
		}
	}
}

func TestComposeDecodingIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"unknown field":   "name: x\nservices:\n  server:\n    image: x\n    readonly: true\n",
		"duplicate field": "name: x\nservices:\n  server:\n    image: x\n    image: y\n",
	} {
		details := composetypes.ConfigDetails{ConfigFiles: []composetypes.ConfigFile{{Filename: "x.yml", Content: []byte(text)}}}
		if _, err := loader.LoadWithContext(t.Context(), details); err == nil {
			t.Errorf("%s: loaded, want an error", name)
		}
	}
}

// compose loads the compose file as compose itself does: with its schema, and
// with nothing from the environment.
func compose(t *testing.T) *composetypes.Project {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), composetypes.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []composetypes.ConfigFile{{Filename: filepath.Join(root, "docker-compose.yml")}},
		Environment: composetypes.Mapping{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(project.Services) != 2 {
		t.Fatalf("services = %v, want backends and server", project.ServiceNames())
	}
	return project
}

func environmentOf(service composetypes.ServiceConfig) map[string]string {
	environment := map[string]string{}
	for name, value := range service.Environment {
		if value != nil {
			environment[name] = *value
		}
	}
	return environment
}

// flagOf returns the value of a flag written as -name=value.
func flagOf(command []string, name string) string {
	for _, argument := range command {
		if value, ok := strings.CutPrefix(argument, name+"="); ok {
			return value
		}
	}
	return ""
}

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
		if slices.ContainsFunc(stage, func(line string) bool { return strings.HasPrefix(line, "HEALTHCHECK") }) {
			t.Errorf("%s has a HEALTHCHECK", name)
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
	if want := []string{"server", "data"}; !slices.Equal(copied, want) {
		t.Errorf("the server image holds %v, want %v", copied, want)
	}
	if from := strings.Fields(stages["server"][0])[1]; !strings.HasPrefix(from, "gcr.io/distroless/static-") {
		t.Errorf("the server image starts from %q, want distroless static", from)
	}
}
