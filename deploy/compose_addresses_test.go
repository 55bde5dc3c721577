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
