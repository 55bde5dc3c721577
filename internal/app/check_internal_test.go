package app

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRulesGiveSameFaultsInAnyOrder uses configurations that break many rules.
func TestRulesGiveSameFaultsInAnyOrder(t *testing.T) {
	for name, environ := range map[string][]string{
		"nothing is set": nil,
		"all modes": {
			"DWOLLA_ENVIRONMENT=production", "DWOLLA_CLIENT_SECRET=changeme", "DWOLLA_TIMEOUT=1ms", "DWOLLA_MAX_CONCURRENT=x", "ALLOWED_ACTIONS=none",
			"HTTP_ADDR=:99999", "ADMIN_ADDR=:99999", "BASE_PATH=a b", "ALLOWED_ORIGINS=https://a.example/,b", "TRUSTED_PROXIES=0.0.0.0/0,x", "ADMIN_HOSTS=a:1",
			"TLS_CERT_FILE=/no/such/file", "ADMIN_TLS_KEY_FILE=/no/such/file",
			"AUTH_MODES=forward,bearer,oidc,proxy,proxy,magic", "AUTH_BEARER_ISSUER=http://a.example", "AUTH_BEARER_AUDIENCE=web", "AUTH_BEARER_COOKIE=a b",
			"AUTH_OIDC_ISSUER=https://b.example", "AUTH_OIDC_CLIENT_ID=web", "AUTH_OIDC_CLIENT_SECRET=short", "AUTH_OIDC_SCOPES=email", "PUBLIC_URL=http://c.example/x",
			"AUTH_PROXY_HEADER=Cookie", "SESSION_STORE=redis", "SESSION_KEYS=x,y", "SESSION_SAMESITE=none", "SESSION_LIFETIME=1s", "REDIS_URL=redis://d.example",
			"CUSTOMER_SOURCE=claim", "DATABASE_URL=mysql:x", "DWOLLA_WEBHOOK_SECRET=short", "ENROLLMENT_KEYS=x", "ADMIN_TOKEN=x", "ALLOW_PLAINTEXT=http",
			"LOG_LEVEL=loud", "LOG_FORMAT=xml", "SHUTDOWN_DELAY=1h", "POLICY_FILE=x",
		},
		"a query and webhooks": {
			"DWOLLA_ENVIRONMENT=production", "CUSTOMER_SOURCE=query", "DATABASE_URL=postgres://a.example/x", "DWOLLA_WEBHOOK_SECRET=short", "CUSTOMER_STATUS_INTERVAL=1s",
		},
		"a lookup": {"DWOLLA_ENVIRONMENT=production", "CUSTOMER_SOURCE=lookup", "CUSTOMER_LOOKUP_URL=http://a.example/{user}", "CUSTOMER_LOOKUP_TOKEN=changeme"},
	} {
		t.Run(name, func(t *testing.T) {
			want, _ := loadShuffled(environ)
			if len(want) < 5 {
				t.Errorf("only %q", want)
			}
			for range 20 {
				got, order := loadShuffled(environ)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("rules in order %v (-want +got):\n%s", order, diff)
				}
			}
		})
	}
}

// loadShuffled returns the faults of a configuration, and the order of the rules.
func loadShuffled(environ []string) ([]string, []int) {
	c, f := read(environ)
	f.parse(&c)
	order := rand.Perm(len(rules()))
	var shuffled []func(checker)
	for _, i := range order {
		shuffled = append(shuffled, rules()[i])
	}
	f.check(c, shuffled...)
	return f.sorted(), order
}
