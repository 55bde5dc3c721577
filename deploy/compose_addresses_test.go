package deploy_test

import (
	"net/url"
	"slices"
	"testing"

	composetypes "github.com/compose-spec/compose-go/v2/types"
)

// The issuer has to be the same string in the tokens and in the server, and lead from
// the server's container to the provider. Browsers reach the provider at another address.
func TestComposeTokensAndServerAgreeOnTheIssuer(t *testing.T) {
	for _, set := range composeSets() {
		name := "provider"
		if set == "minimal" {
			name = "emulator" // both in one process
		}
		project := compose(t, set, goodEnv())
		provider, server := project.Services[name], environmentOf(project.Services["server"])
		issuer := server["AUTH_BEARER_ISSUER"]
		if got := flagOf(provider.Command, "-provider-issuer"); got != issuer {
			t.Errorf("--profile %s: -provider-issuer = %q, want AUTH_BEARER_ISSUER = %q", set, got, issuer)
		}
		if oidc, ok := server["AUTH_OIDC_ISSUER"]; ok && oidc != issuer {
			t.Errorf("--profile %s: AUTH_OIDC_ISSUER = %q, want %q", set, oidc, issuer)
		}
		reaches(t, set, name, issuer, flagOf(provider.Command, "-provider-addr"))
		browsers, err := url.Parse(flagOf(provider.Command, "-provider-browser-url"))
		if err != nil || browsers.Hostname() != "127.0.0.1" || !publishes(provider, browsers.Port()) {
			t.Errorf("--profile %s: -provider-browser-url %v is not published", set, browsers)
		}
	}
}

func TestComposeServerReachesTheEmulator(t *testing.T) {
	for _, set := range []string{"", "minimal"} {
		project := compose(t, set, nil)
		emulator := project.Services["emulator"]
		reaches(t, set, "emulator", environmentOf(project.Services["server"])["DWOLLA_BASE_URL"], flagOf(emulator.Command, "-emulator-addr"))
		if !publishes(emulator, "17188") {
			t.Errorf("--profile %s: the emulator is not published for browsers", set)
		}
	}
}

// TestComposeNamesAreTheSameInEachSet: settings and commands address server, and not
// server-dwolla.
func TestComposeNamesAreTheSameInEachSet(t *testing.T) {
	for _, set := range composeSets() {
		network := map[string]string{"minimal": "minimal", "dwolla": "dwolla"}[set]
		if network == "" {
			network = "default"
		}
		for name, service := range compose(t, set, goodEnv()).Services {
			joined, ok := service.Networks[network]
			if !ok || len(service.Networks) != 1 {
				t.Errorf("--profile %s: %s is in the networks %v, want %s", set, name, service.Networks, network)
			}
			if service.Name != name && (joined == nil || !slices.Contains(joined.Aliases, name)) {
				t.Errorf("--profile %s: %s has no alias %s", set, service.Name, name)
			}
		}
	}
}

// reaches checks that an address inside the network is where a service listens.
func reaches(t *testing.T, set, service, address, listen string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Hostname() != service || listen != "0.0.0.0:"+u.Port() {
		t.Errorf("--profile %s: the server asks %s, but %s listens on %q", set, address, service, listen)
	}
}

func publishes(service composetypes.ServiceConfig, port string) bool {
	return slices.ContainsFunc(service.Ports, func(p composetypes.ServicePortConfig) bool { return p.Published == port })
}
