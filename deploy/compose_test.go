package deploy_test

import (
	"encoding/base64"
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
	for file, project := range composeFiles(t) {
		for name, service := range project.Services {
			for _, port := range service.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s: %s publishes %d on %q, want 127.0.0.1", file, name, port.Target, port.HostIP)
				}
			}
			if service.NetworkMode != "" {
				t.Errorf("%s: %s has network_mode %q, want the project's own network", file, name, service.NetworkMode)
			}
		}
	}
}

// TestEveryComposePortCanBeMoved also demands that the addresses for browsers follow.
func TestEveryComposePortCanBeMoved(t *testing.T) {
	moved := goodEnv()
	ports := map[string]string{
		"DROPGATE_PORT": "21001", "ADMIN_PORT": "21002", "EMULATOR_PORT": "21003", "PROVIDER_PORT": "21004", "PROMETHEUS_PORT": "21005", "GRAFANA_PORT": "21006",
	}
	for name, port := range ports {
		moved[name] = port
	}
	for file, before := range composeFiles(t) {
		after := compose(t, file, moved)
		for name, service := range after.Services {
			for i, port := range service.Ports {
				old := before.Services[name].Ports[i].Published
				if !strings.HasPrefix(port.Published, "2100") {
					t.Errorf("%s: no variable moves port %s of %s", file, port.Published, name)
				}
				for other, s := range after.Services {
					if strings.Contains(strings.Join(s.Command, " ")+environmentOf(s)["PUBLIC_URL"], "http://127.0.0.1:"+old) {
						t.Errorf("%s: %s still names port %s", file, other, old)
					}
				}
			}
		}
	}
}

func TestComposeServicesAreConfined(t *testing.T) {
	for file, project := range composeFiles(t) {
		for name, service := range project.Services {
			ours := name == "server" || service.Build != nil && service.Build.Target == "sandbox"
			if ours && service.User != "65532:65532" || service.Privileged {
				t.Errorf("%s: %s runs as %q, privileged %v, want 65532:65532 without privileges", file, name, service.User, service.Privileged)
			}
			if !service.ReadOnly && name != "grafana" {
				t.Errorf("%s: %s has a root file system to write on", file, name)
			}
			if !slices.Equal(service.CapDrop, []string{"ALL"}) || len(service.CapAdd) > 0 {
				t.Errorf("%s: %s drops %v and adds %v, want every capability dropped", file, name, service.CapDrop, service.CapAdd)
			}
			if !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
				t.Errorf("%s: %s has security_opt %v, want no-new-privileges:true", file, name, service.SecurityOpt)
			}
			if service.MemLimit == 0 || service.PidsLimit == 0 {
				t.Errorf("%s: %s has no limit for its memory or its processes", file, name)
			}
		}
	}
}

func TestComposeServicesRestartAndRotateTheirLogs(t *testing.T) {
	for file, project := range composeFiles(t) {
		for name, service := range project.Services {
			if service.Restart != "unless-stopped" {
				t.Errorf("%s: %s has restart %q", file, name, service.Restart)
			}
			if service.Logging == nil || service.Logging.Driver != "json-file" || service.Logging.Options["max-size"] == "" || service.Logging.Options["max-file"] == "" {
				t.Errorf("%s: %s writes logs without a bound: %+v", file, name, service.Logging)
			}
		}
	}
}

// TestComposeWaitsForHealth: without a condition, depends_on waits for a start only.
func TestComposeWaitsForHealth(t *testing.T) {
	for file, project := range composeFiles(t) {
		for name, service := range project.Services {
			if service.HealthCheck == nil || len(service.HealthCheck.Test) == 0 || service.HealthCheck.Interval == nil {
				t.Errorf("%s: %s has no health check", file, name)
			}
			for other, dependency := range service.DependsOn {
				if dependency.Condition != composetypes.ServiceConditionHealthy {
					t.Errorf("%s: %s waits for %s with %q", file, name, other, dependency.Condition)
				}
			}
		}
	}
}

// TestComposeMountsNoFileOfTheClone: under umask 077, a container's user cannot read
// such a file. Secrets and configs are files, too.
func TestComposeMountsNoFileOfTheClone(t *testing.T) {
	for file, project := range composeFiles(t) {
		if len(project.Secrets)+len(project.Configs) > 0 {
			t.Errorf("%s has secrets or configs", file)
		}
		for name, service := range project.Services {
			for _, volume := range service.Volumes {
				if volume.Type != composetypes.VolumeTypeVolume || volume.Source == "" {
					t.Errorf("%s: %s mounts %s %q, want a named volume", file, name, volume.Type, volume.Source)
				}
			}
			if len(service.EnvFiles) > 0 {
				t.Errorf("%s: %s reads %v", file, name, service.EnvFiles)
			}
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
	for file, project := range composeFiles(t) {
		for name, service := range project.Services {
			for variable, value := range environmentOf(service) {
				if !holdsSecret(variable) || value == goodEnv()["DWOLLA_CLIENT_SECRET"] || variable == "REDIS_URL" {
					continue
				}
				if decoded, err := base64.StdEncoding.DecodeString(value); err == nil {
					value = string(decoded)
				}
				if !strings.Contains(strings.ToLower(value), "demo") && !strings.HasPrefix(value, "sandbox-") {
					t.Errorf("%s: %s of %s does not say that it is a demo value", file, variable, name)
				}
			}
		}
	}
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

// The issuer has to be the same string in the tokens and in the server, and lead from
// the server's container to the provider. Browsers reach the provider at another address.
func TestComposeTokensAndServerAgreeOnTheIssuer(t *testing.T) {
	for file, name := range map[string]string{composeFull: "provider", composeMinimal: "emulator", composeDwolla: "provider"} {
		project := compose(t, file, goodEnv())
		provider, server := project.Services[name], environmentOf(project.Services["server"])
		issuer := server["AUTH_BEARER_ISSUER"]
		if got := flagOf(provider.Command, "-provider-issuer"); got != issuer {
			t.Errorf("%s: -provider-issuer = %q, want AUTH_BEARER_ISSUER = %q", file, got, issuer)
		}
		if oidc, set := server["AUTH_OIDC_ISSUER"]; set && oidc != issuer {
			t.Errorf("%s: AUTH_OIDC_ISSUER = %q, want %q", file, oidc, issuer)
		}
		reaches(t, file, name, issuer, flagOf(provider.Command, "-provider-addr"))
		browsers, err := url.Parse(flagOf(provider.Command, "-provider-browser-url"))
		if err != nil || browsers.Hostname() != "127.0.0.1" || !publishes(provider, browsers.Port()) {
			t.Errorf("%s: -provider-browser-url %v is not published", file, browsers)
		}
	}
}

func TestComposeServerReachesTheEmulator(t *testing.T) {
	for _, file := range []string{composeFull, composeMinimal} {
		project := compose(t, file, nil)
		emulator := project.Services["emulator"]
		reaches(t, file, "emulator", environmentOf(project.Services["server"])["DWOLLA_BASE_URL"], flagOf(emulator.Command, "-emulator-addr"))
		if !publishes(emulator, "17188") {
			t.Errorf("%s: the emulator is not published for browsers", file)
		}
	}
}

// reaches checks that an address inside the network is where a service listens.
func reaches(t *testing.T, file, service, address, listen string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != service || listen != "0.0.0.0:"+u.Port() {
		t.Errorf("%s: the server asks %s, but %s listens on %q", file, address, service, listen)
	}
}

func publishes(service composetypes.ServiceConfig, port string) bool {
	return slices.ContainsFunc(service.Ports, func(p composetypes.ServicePortConfig) bool { return p.Published == port })
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
