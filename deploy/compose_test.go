package deploy_test

import (
	"encoding/base64"
	"maps"
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

// The compose files. Each of them runs alone.
const (
	composeFull    = "docker-compose.yml"
	composeMinimal = "docker-compose.minimal.yml"
	composeDwolla  = "docker-compose.dwolla.yml"
)

// composeFiles returns all of them, as they are with a good .env.
func composeFiles(t *testing.T) map[string]*composetypes.Project {
	t.Helper()
	all := map[string]*composetypes.Project{}
	for _, file := range []string{composeFull, composeMinimal, composeDwolla} {
		all[file] = compose(t, file, goodEnv())
	}
	return all
}

// composed is a service of one of the files.
type composed struct {
	composetypes.ServiceConfig

	where string // "docker-compose.yml: server"
}

// everyService returns the services of all compose files.
func everyService(t *testing.T) []composed {
	t.Helper()
	var all []composed
	for file, project := range composeFiles(t) {
		for name, service := range project.Services {
			all = append(all, composed{service, file + ": " + name})
		}
	}
	return all
}

// goodEnv is a .env with what Dwolla's sandbox needs.
func goodEnv() composetypes.Mapping {
	return composetypes.Mapping{"DWOLLA_CLIENT_ID": "key", "DWOLLA_CLIENT_SECRET": "secret-of-the-test"}
}

func TestEachComposeFileHasItsServices(t *testing.T) {
	for file, want := range map[string][]string{
		composeFull:    {"emulator", "grafana", "page", "postgres", "prometheus", "provider", "redis", "server"},
		composeMinimal: {"emulator", "server"},
		composeDwolla:  {"page", "postgres", "provider", "redis", "server"},
	} {
		if got := compose(t, file, goodEnv()).ServiceNames(); !slices.Equal(got, want) {
			t.Errorf("%s has the services %v, want %v", file, got, want)
		}
	}
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	for _, service := range everyService(t) {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %d on %q, want 127.0.0.1", service.where, port.Target, port.HostIP)
			}
		}
		if service.NetworkMode != "" {
			t.Errorf("%s has network_mode %q, want the project's own network", service.where, service.NetworkMode)
		}
	}
}

// TestEveryComposePortCanBeMoved also demands that the addresses for browsers follow.
func TestEveryComposePortCanBeMoved(t *testing.T) {
	moved := goodEnv()
	maps.Copy(moved, composetypes.Mapping{
		"DROPGATE_PORT": "21001", "ADMIN_PORT": "21002", "EMULATOR_PORT": "21003", "PROVIDER_PORT": "21004", "PROMETHEUS_PORT": "21005", "GRAFANA_PORT": "21006",
	})
	for file, before := range composeFiles(t) {
		var addresses strings.Builder
		after := compose(t, file, moved)
		for _, service := range after.Services {
			addresses.WriteString(strings.Join(service.Command, " ") + environmentOf(service)["PUBLIC_URL"] + "\n")
		}
		for name, service := range after.Services {
			for i, port := range service.Ports {
				old := before.Services[name].Ports[i].Published
				if !strings.HasPrefix(port.Published, "2100") || strings.Contains(addresses.String(), "http://127.0.0.1:"+old) {
					t.Errorf("%s: the variables do not move port %s of %s everywhere", file, old, name)
				}
			}
		}
	}
}

func TestComposeServicesAreConfined(t *testing.T) {
	for _, service := range everyService(t) {
		if !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) > 0 || service.Privileged {
			t.Errorf("%s drops %v and adds %v, privileged %v, want every capability dropped", service.where, service.CapDrop, service.CapAdd, service.Privileged)
		}
		if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s has security_opt %v, want no-new-privileges:true", service.where, service.SecurityOpt)
		}
		if service.MemLimit == 0 || service.PidsLimit == 0 {
			t.Errorf("%s has no limit for its memory or its processes", service.where)
		}
		if !service.ReadOnly && service.Name != "grafana" {
			t.Errorf("%s has a root file system to write on", service.where)
		}
	}
}

func TestComposeRunsOurImagesAsTheirUser(t *testing.T) {
	for _, service := range everyService(t) {
		ours := service.Build != nil && (service.Build.Target == "server" || service.Build.Target == "sandbox")
		if ours && service.User != "65532:65532" {
			t.Errorf("%s runs as %q, want 65532:65532", service.where, service.User)
		}
	}
}

func TestComposeServicesRestartAndRotateTheirLogs(t *testing.T) {
	for _, service := range everyService(t) {
		if service.Restart != "unless-stopped" {
			t.Errorf("%s has restart %q", service.where, service.Restart)
		}
		if service.Logging == nil || service.Logging.Driver != "json-file" || service.Logging.Options["max-size"] == "" || service.Logging.Options["max-file"] == "" {
			t.Errorf("%s writes logs without a bound: %+v", service.where, service.Logging)
		}
	}
}

// TestComposeWaitsForHealth: without a condition, depends_on waits for a start only.
func TestComposeWaitsForHealth(t *testing.T) {
	for _, service := range everyService(t) {
		if service.HealthCheck == nil || len(service.HealthCheck.Test) == 0 || service.HealthCheck.Interval == nil {
			t.Errorf("%s has no health check", service.where)
		}
		for other, dependency := range service.DependsOn {
			if dependency.Condition != composetypes.ServiceConditionHealthy {
				t.Errorf("%s waits for %s with %q", service.where, other, dependency.Condition)
			}
		}
	}
}

// TestComposeMountsNoFileOfTheClone: under umask 077, a container's user cannot read
// such a file. Secrets and configs are files, too.
func TestComposeMountsNoFileOfTheClone(t *testing.T) {
	for _, service := range everyService(t) {
		for _, volume := range service.Volumes {
			if volume.Type != composetypes.VolumeTypeVolume || volume.Source == "" {
				t.Errorf("%s mounts %s %q, want a named volume", service.where, volume.Type, volume.Source)
			}
		}
		if len(service.EnvFiles)+len(service.Secrets)+len(service.Configs) > 0 {
			t.Errorf("%s reads files: %v, %v, %v", service.where, service.EnvFiles, service.Secrets, service.Configs)
		}
	}
}

func TestComposeDataOutlivesItsContainers(t *testing.T) {
	project := compose(t, composeFull, nil)
	for name, folder := range map[string]string{
		"emulator": "/data", "provider": "/data", "redis": "/data", "postgres": "/var/lib/postgresql/data", "prometheus": "/prometheus", "grafana": "/var/lib/grafana",
	} {
		volumes := project.Services[name].Volumes
		if len(volumes) != 1 || volumes[0].Target != folder {
			t.Errorf("%s keeps %v, want %s", name, volumes, folder)
		}
	}
	if state := flagOf(project.Services["emulator"].Command, "-emulator-state"); path.Dir(state) != "/data" {
		t.Errorf("the emulator keeps its Customers in %q", state)
	}
	if key := flagOf(project.Services["provider"].Command, "-provider-key"); path.Dir(key) != "/data" {
		t.Errorf("the provider keeps its key in %q", key)
	}
	redis := strings.Join(project.Services["redis"].Command, " ")
	for _, setting := range []string{"--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"} {
		if !strings.Contains(redis, setting) {
			t.Errorf("Redis runs with %q, want %s (docs/authentication.md)", redis, setting)
		}
	}
}

// TestComposeSecretsAreDemoValues: what a repository holds is no secret, and says so.
func TestComposeSecretsAreDemoValues(t *testing.T) {
	for _, service := range everyService(t) {
		for variable, value := range environmentOf(service.ServiceConfig) {
			if holdsSecret(variable) && variable != "REDIS_URL" && !isDemoValue(value) {
				t.Errorf("%s: %s does not say that it is a demo value", service.where, variable)
			}
		}
	}
}

// isDemoValue also accepts the value that goodEnv gives.
func isDemoValue(value string) bool {
	if decoded, err := base64.StdEncoding.DecodeString(value); err == nil {
		value = string(decoded)
	}
	return strings.Contains(strings.ToLower(value), "demo") || strings.HasPrefix(value, "sandbox-") || value == goodEnv()["DWOLLA_CLIENT_SECRET"]
}

func TestComposeSaysWhichValueOfDwollaIsMissing(t *testing.T) {
	for _, name := range []string{"DWOLLA_CLIENT_ID", "DWOLLA_CLIENT_SECRET"} {
		env := goodEnv()
		env[name] = "" // as in a fresh copy of .env.example
		_, err := loadCompose(t, composeDwolla, env)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "copy .env.example to .env") {
			t.Errorf("without %s: %v", name, err)
		}
		example, err := os.ReadFile("../.env.example")
		if err != nil || !strings.Contains(string(example), "\n"+name+"=\n") {
			t.Errorf(".env.example does not ask for %s: %v", name, err)
		}
	}
}

func TestComposeDrainFitsTheStopGracePeriod(t *testing.T) {
	for file, project := range composeFiles(t) {
		server := project.Services["server"]
		delay, timeout := shutdown(t, environmentOf(server))
		if server.StopGracePeriod == nil || time.Duration(*server.StopGracePeriod) <= delay+timeout {
			t.Errorf("%s: stop_grace_period = %v, want more than %v + %v", file, server.StopGracePeriod, delay, timeout)
		}
	}
}

func TestComposeBuildsEachServiceFromItsOwnTarget(t *testing.T) {
	for file, project := range composeFiles(t) {
		for name, want := range map[string]string{"server": "server", "emulator": "sandbox", "provider": "sandbox", "page": "sandbox"} {
			service, there := project.Services[name]
			if there && (service.Build == nil || service.Build.Target != want) {
				t.Errorf("%s: %s is built by %+v, want target %q", file, name, service.Build, want)
			}
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

// compose loads a compose file as compose itself does: with its schema, and with
// nothing but env from the environment.
func compose(t *testing.T, file string, env composetypes.Mapping) *composetypes.Project {
	t.Helper()
	project, err := loadCompose(t, file, env)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return project
}

func loadCompose(t *testing.T, file string, env composetypes.Mapping) (*composetypes.Project, error) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if env == nil {
		env = composetypes.Mapping{}
	}
	return loader.LoadWithContext(t.Context(), composetypes.ConfigDetails{
		WorkingDir:  root,
		ConfigFiles: []composetypes.ConfigFile{{Filename: filepath.Join(root, file)}},
		Environment: env,
	})
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
