package deploy_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// composeSets are the sets of services that docker-compose.yml can start, by profile.
func composeSets() []string { return []string{"", "full", "minimal", "dwolla"} }

// composed is a service of one of the sets.
type composed struct {
	composetypes.ServiceConfig

	where string // "--profile dwolla: server"
}

// everyService returns the services of all sets.
func everyService(t *testing.T) []composed {
	t.Helper()
	var all []composed
	for _, set := range composeSets() {
		for name, service := range compose(t, set, goodEnv()).Services {
			all = append(all, composed{service, "--profile " + set + ": " + name})
		}
	}
	return all
}

// goodEnv is a .env with what Dwolla's sandbox needs.
func goodEnv() composetypes.Mapping {
	return composetypes.Mapping{"DWOLLA_CLIENT_ID": "key", "DWOLLA_CLIENT_SECRET": "secret-of-the-test"}
}

func TestEachProfileHasItsServices(t *testing.T) {
	full := []string{"emulator", "grafana", "page", "postgres", "prometheus", "provider", "redis", "server"}
	for set, want := range map[string][]string{
		"":        full,
		"full":    full,
		"minimal": {"emulator", "server"},
		"dwolla":  {"page", "postgres", "provider", "redis", "server"},
	} {
		if got := slices.Sorted(maps.Keys(compose(t, set, goodEnv()).Services)); !slices.Equal(got, want) {
			t.Errorf("--profile %s has the services %v, want %v", set, got, want)
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
	for _, set := range composeSets() {
		var addresses strings.Builder
		before, after := compose(t, set, goodEnv()), compose(t, set, moved)
		for _, service := range after.Services {
			addresses.WriteString(strings.Join(service.Command, " ") + environmentOf(service)["PUBLIC_URL"] + "\n")
		}
		for name, service := range after.Services {
			for i, port := range service.Ports {
				old := before.Services[name].Ports[i].Published
				if !strings.HasPrefix(port.Published, "2100") || strings.Contains(addresses.String(), "http://127.0.0.1:"+old) {
					t.Errorf("--profile %s: the variables do not move port %s of %s everywhere", set, old, name)
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
		want := "unless-stopped"
		if len(service.EnvFiles) > 0 {
			want = "on-failure:3" // a restart does not bring a missing key
		}
		if service.Restart != want {
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
		// Compose itself reads env_file, as the user who owns the clone.
		if len(service.Secrets)+len(service.Configs) > 0 {
			t.Errorf("%s reads files: %v, %v", service.where, service.Secrets, service.Configs)
		}
	}
}

func TestComposeDataOutlivesItsContainers(t *testing.T) {
	project := compose(t, "", nil)
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

func TestComposeWantsEnvFileForDwollaOnly(t *testing.T) {
	for _, set := range composeSets() {
		_, err := loadCompose(t, set, nil)
		if set == "dwolla" {
			if err == nil || !strings.Contains(err.Error(), ".env not found") {
				t.Errorf("--profile dwolla without .env: %v", err)
			}
		} else if err != nil {
			t.Errorf("--profile %s without .env: %v", set, err)
		}
	}
	example, err := os.ReadFile("../.env.example")
	for name := range goodEnv() {
		if err != nil || !strings.Contains(string(example), "\n"+name+"=\n") {
			t.Errorf(".env.example does not ask for %s: %v", name, err)
		}
	}
}

func TestComposeDrainFitsTheStopGracePeriod(t *testing.T) {
	for _, set := range composeSets() {
		server := compose(t, set, goodEnv()).Services["server"]
		delay, timeout := shutdown(t, environmentOf(server))
		if server.StopGracePeriod == nil || time.Duration(*server.StopGracePeriod) <= delay+timeout {
			t.Errorf("--profile %s: stop_grace_period = %v, want more than %v + %v", set, server.StopGracePeriod, delay, timeout)
		}
	}
}

func TestComposeBuildsEachServiceFromItsOwnTarget(t *testing.T) {
	for _, set := range composeSets() {
		project := compose(t, set, goodEnv())
		for name, want := range map[string]string{"server": "server", "emulator": "sandbox", "provider": "sandbox", "page": "sandbox"} {
			service, there := project.Services[name]
			if there && (service.Build == nil || service.Build.Target != want) {
				t.Errorf("--profile %s: %s is built by %+v, want target %q", set, name, service.Build, want)
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

// compose loads a set of services as compose itself does, with env as the .env of a clone.
// It drops the suffix that names the profile: server-dwolla is server.
func compose(t *testing.T, profile string, env composetypes.Mapping) *composetypes.Project {
	t.Helper()
	project, err := loadCompose(t, profile, env)
	if err != nil {
		t.Fatalf("--profile %s: %v", profile, err)
	}
	services := composetypes.Services{}
	for name, service := range project.Services {
		services[strings.TrimSuffix(name, "-"+profile)] = service
	}
	project.Services = services
	return project
}

// loadCompose reads nothing from the environment, and no .env if env is nil.
func loadCompose(t *testing.T, profile string, env composetypes.Mapping) (*composetypes.Project, error) {
	t.Helper()
	files := map[string]string{}
	for _, path := range []string{"docker-compose.yml", "deploy/compose/services.yml"} {
		text, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(text)
	}
	for name, value := range env {
		files[".env"] += name + "=" + value + "\n"
	}
	clone := t.TempDir()
	for path, text := range files {
		path = filepath.Join(clone, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var named []string
	if profile != "" {
		named = append(named, profile)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(clone, "docker-compose.yml")},
		cli.WithWorkingDirectory(clone), cli.WithEnvFiles(), cli.WithDotEnv, cli.WithDefaultProfiles(named...))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(t.Context())
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
