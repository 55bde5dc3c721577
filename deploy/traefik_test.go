package deploy_test

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Debian has no Traefik, so `make test-proxies` does not run this configuration.
func TestTraefikRoutesOnlyDropgatesPath(t *testing.T) {
	text, err := os.ReadFile("../examples/proxies/traefik.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		HTTP struct {
			Routers map[string]struct {
				Rule, Service string
				EntryPoints   []string
				TLS           *struct{}
			}
			Services map[string]struct {
				LoadBalancer struct{ Servers []struct{ URL string } }
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		t.Fatal(err)
	}
	if rule := config.HTTP.Routers["dropgate"].Rule; !strings.Contains(rule, "PathPrefix(`/dropgate/`)") {
		t.Errorf("the rule of dropgate is %q", rule)
	}
	for name, router := range config.HTTP.Routers {
		if servers := config.HTTP.Services[router.Service].LoadBalancer.Servers; len(servers) != 1 {
			t.Errorf("the router %s leads to %d servers, want 1", name, len(servers))
		}
	}
}
