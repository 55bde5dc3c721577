package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/app"
)

func TestLoadAcceptsGoodSettings(t *testing.T) {
	for name, changes := range map[string]map[string]string{
		"as they are":                 {},
		"production":                  {"DWOLLA_ENVIRONMENT": "production"},
		"an emulator":                 {"DWOLLA_BASE_URL": "http://127.0.0.1:17188"},
		"origins":                     {"ALLOWED_ORIGINS": "https://app.example.com, http://localhost:3000 ,"},
		"proxies":                     {"TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8"},
		"a base path":                 {"BASE_PATH": "/payments/dropgate/"},
		"a database":                  {"CUSTOMER_SOURCE": "database", "DATABASE_URL": "sqlite:/tmp/a.db"},
		"an empty variable is unset":  {"DWOLLA_TIMEOUT": "", "POLICY_FILE": "", "HTTP_ADDR": ""},
		"any port twice":              {"HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0"},
		"access tokens only":          {"AUTH_BEARER_TOKEN_TYPE": "at+jwt", "AUTH_BEARER_CLIENT_IDS": "web, mobile"},
		"clients for an audience":     {"AUTH_BEARER_AUDIENCE": "", "AUTH_BEARER_CLIENT_IDS": "web"},
		"a claim for an audience":     {"AUTH_BEARER_AUDIENCE": "", "AUTH_BEARER_REQUIRED_CLAIMS": "token_use=access, aud_type=a=b,"},
		"an issuer by name":           {"AUTH_BEARER_ISSUER": "P2abc", "AUTH_BEARER_JWKS_URL": "https://id.example.com/keys?project=P2abc"},
		"a public client":             oidc(map[string]string{"AUTH_OIDC_CLIENT_SECRET": "", "AUTH_OIDC_CLIENT_AUTH": "none", "SESSION_KEYS": sessionKey("a")}),
		"a secret in the form":        oidc(map[string]string{"AUTH_OIDC_CLIENT_AUTH": "client_secret_post", "AUTH_OIDC_PAR": "off"}),
		"an internal back channel":    oidc(map[string]string{"AUTH_OIDC_DISCOVERY_URL": "http://id.internal/.well-known/openid-configuration"}),
		"parameters of sign-ins":      oidc(map[string]string{"AUTH_OIDC_PARAMS": "audience=https%3A%2F%2Fapi&prompt=login", "AUTH_OIDC_LOGIN_PARAMS": "login_hint, prompt,"}),
		"another token header":        {"AUTH_BEARER_HEADER": "Cf-Access-Jwt-Assertion"},
		"paths to claims":             {"AUTH_USER_CLAIM": "app.user.id", "CUSTOMER_CLAIM": "/app/~1customer"},
		"the largest header":          {"HTTP_MAX_HEADER_BYTES": "65536"},
		"cookie":                      {"AUTH_BEARER_COOKIE": "__Host-token"},
		"plain provider in sandbox":   {"AUTH_BEARER_ISSUER": "http://idp.internal:8080"},
		"console":                     {"LOG_FORMAT": "console", "LOG_LEVEL": "debug"},
		"unknown names are not ours":  {"AUTH_SERVICE_PORT": "tcp://10.0.0.1:80"},
		"forward":                     {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app.internal/me", "AUTH_FORWARD_CACHE": "0s", "AUTH_FORWARD_SET_COOKIE": "sid, __Secure-authjs.session-token.0"},
		"proxy":                       {"AUTH_MODES": "proxy", "TRUSTED_PROXIES": "10.0.0.0/8", "AUTH_PROXY_SECRET": "the-very-secret-one", "CUSTOMER_SOURCE": "database"},
		"all modes":                   oidc(map[string]string{"AUTH_MODES": "proxy, oidc, bearer, forward", "AUTH_FORWARD_URL": "https://app.internal/me", "TRUSTED_PROXIES": "10.0.0.0/8", "AUTH_PROXY_SECRET": "the-very-secret-one", "CUSTOMER_SOURCE": "database"}),
		"single proxies":              {"TRUSTED_PROXIES": "10.0.0.1, ::1, ::ffff:10.0.0.2, ::ffff:10.0.0.0/104"},
		"everybody's forwarding":      {"TRUSTED_PROXIES": "0.0.0.0/0"},
		"oidc":                        oidc(nil),
		"oidc in production":          oidc(map[string]string{"DWOLLA_ENVIRONMENT": "production"}),
		"oidc and bearer":             oidc(map[string]string{"AUTH_MODES": "bearer, oidc"}),
		"one client for both":         oidc(map[string]string{"AUTH_MODES": "bearer, oidc", "AUTH_OIDC_CLIENT_ID": "dropgate", "AUTH_BEARER_TOKEN_TYPE": "at+jwt"}),
		"oidc on localhost":           oidc(map[string]string{"PUBLIC_URL": "http://localhost:8080"}),
		"oidc on 127.0.0.1":           oidc(map[string]string{"PUBLIC_URL": "http://127.0.0.1:8080"}),
		"oidc on ::1":                 oidc(map[string]string{"PUBLIC_URL": "http://[::1]:8080"}),
		"sessions in Redis":           oidc(map[string]string{"SESSION_STORE": "redis", "REDIS_URL": "rediss://user:the-very-secret@redis.internal:6380/1"}),
		"an application elsewhere":    oidc(map[string]string{"SESSION_SAMESITE": "none", "ALLOWED_ORIGINS": "https://app.other.example"}),
		"no delay when shutting down": {"SHUTDOWN_DELAY": "0s", "SHUTDOWN_TIMEOUT": "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			if faults := faultsOf(t, changes); faults != nil {
				t.Errorf("faults %q", faults)
			}
		})
	}
}

func TestLoadNamesEachFault(t *testing.T) {
	for want, changes := range map[string]map[string]string{
		"DWOLLA_ENVIRONMENT: must be sandbox or production":                                            {"DWOLLA_ENVIRONMENT": "prod"},
		"DWOLLA_CLIENT_ID: is required":                                                                {"DWOLLA_CLIENT_ID": ""},
		"DWOLLA_CLIENT_SECRET: is required":                                                            {"DWOLLA_CLIENT_SECRET": ""},
		"DWOLLA_BASE_URL: base URL: production requires https":                                         {"DWOLLA_ENVIRONMENT": "production", "DWOLLA_BASE_URL": "http://127.0.0.1:1"},
		"DWOLLA_TIMEOUT: 11s is not between 100ms and 10s":                                             {"DWOLLA_TIMEOUT": "11s"},
		"DWOLLA_MAX_CONCURRENT: 0 is not between 1 and 10000":                                          {"DWOLLA_MAX_CONCURRENT": "0"},
		"DWOLLA_MAX_CONCURRENT: 10001 is not between 1 and 10000":                                      {"DWOLLA_MAX_CONCURRENT": "10001"},
		`DWOLLA_MAX_CONCURRENT: .*"many".*`:                                                            {"DWOLLA_MAX_CONCURRENT": "many"},
		`DWOLLA_TIMEOUT: .*"5"`:                                                                        {"DWOLLA_TIMEOUT": "5"},
		"ALLOWED_ACTIONS: name at least one action or component.*":                                     {"ALLOWED_ACTIONS": " , "},
		`ALLOWED_ACTIONS: "customer.raed" is neither an action \(customer.create, .*`:                  {"ALLOWED_ACTIONS": "customer.raed"},
		"ALLOWED_ACTIONS: customer.transfers.send cannot be allowed: .*amount and destination.*":       {"ALLOWED_ACTIONS": "customer.transfers.send"},
		"ADMIN_ADDR: has an unknown port":                                                              {"ADMIN_ADDR": "127.0.0.1:htpp"},
		"HTTP_ADDR: is not HOST:PORT":                                                                  {"HTTP_ADDR": "8080"},
		"HTTP_ADDR: has a port that is not between 0 and 65535":                                        {"HTTP_ADDR": ":808080"},
		`AUTH_BEARER_ISSUER: "https://idp.example.com\\"" is not an absolute URL .*`:                   {"AUTH_BEARER_ISSUER": `https://idp.example.com"`},
		`AUTH_BEARER_ISSUER: "https://idp.example.com/a b" is not an absolute URL .*`:                  {"AUTH_BEARER_ISSUER": "https://idp.example.com/a b"},
		"ADMIN_ADDR: is the same as HTTP_ADDR.*":                                                       {"ADMIN_ADDR": ":8080"},
		"BASE_PATH: .*":                                                                                {"BASE_PATH": "/{id}"},
		`ALLOWED_ORIGINS: "https://\*.example.com" is not an .*: list each origin`:                     {"ALLOWED_ORIGINS": "https://*.example.com"},
		`ALLOWED_ORIGINS: "\*" is not an .*: list each origin`:                                         {"ALLOWED_ORIGINS": "*"},
		`ALLOWED_ORIGINS: "null" is not an origin .*`:                                                  {"ALLOWED_ORIGINS": "null"},
		`ALLOWED_ORIGINS: "https://a.example/" .*: write https://a.example`:                            {"ALLOWED_ORIGINS": "https://a.example/"},
		`ALLOWED_ORIGINS: "https://A.example" .*: write https://a.example`:                             {"ALLOWED_ORIGINS": "https://A.example"},
		`ALLOWED_ORIGINS: "https://…" is not .*: write https://a.example`:                              {"ALLOWED_ORIGINS": "https://u@a.example"},
		`ALLOWED_ORIGINS: "ftp://a.example" .*: its scheme is neither .*`:                              {"ALLOWED_ORIGINS": "ftp://a.example"},
		`ALLOWED_ORIGINS: "http://a.example" is not https`:                                             {"ALLOWED_ORIGINS": "http://a.example", "DWOLLA_ENVIRONMENT": "production"},
		`TRUSTED_PROXIES: "10.0.0.1-9" is neither a CIDR such as 10.0.0.0/8 nor an address`:            {"TRUSTED_PROXIES": "10.0.0.1-9"},
		`TRUSTED_PROXIES: "fe80::1%eth0" is neither a CIDR .*`:                                         {"TRUSTED_PROXIES": "fe80::1%eth0"},
		`TRUSTED_PROXIES: "::ffff:0.0.0.0/95" contains more than IPv4 addresses: .*`:                   {"TRUSTED_PROXIES": "::ffff:0.0.0.0/95"},
		"AUTH_MODES: is required: without a mode, no user can sign in":                                 {"AUTH_MODES": ""},
		`AUTH_MODES: "basic" is not a mode; the modes are bearer, oidc, forward and proxy`:             {"AUTH_MODES": "bearer,basic"},
		"AUTH_MODES: bearer is named twice":                                                            {"AUTH_MODES": "bearer,bearer"},
		"AUTH_BEARER_ISSUER: is required":                                                              {"AUTH_BEARER_ISSUER": ""},
		"AUTH_BEARER_AUDIENCE: is required without .*":                                                 {"AUTH_BEARER_AUDIENCE": ""},
		`AUTH_BEARER_ISSUER: "http://idp" is not https`:                                                {"AUTH_BEARER_ISSUER": "http://idp", "DWOLLA_ENVIRONMENT": "production"},
		`AUTH_BEARER_JWKS_URL: "keys.json" is not an absolute URL .*`:                                  {"AUTH_BEARER_JWKS_URL": "keys.json"},
		"AUTH_BEARER_TOKEN_TYPE: must be empty or at\\+jwt":                                            {"AUTH_BEARER_TOKEN_TYPE": "JWT"},
		"AUTH_OIDC_CLIENT_AUTH: must be client_secret_basic, .*":                                       oidc(map[string]string{"AUTH_OIDC_CLIENT_AUTH": "basic"}),
		"AUTH_OIDC_CLIENT_KEYS: is required":                                                           oidc(map[string]string{"AUTH_OIDC_CLIENT_AUTH": "private_key_jwt"}),
		"AUTH_OIDC_CLIENT_KEYS: is not a private key in PEM":                                           oidc(map[string]string{"AUTH_OIDC_CLIENT_KEYS": "key"}),
		"SESSION_KEYS: is required":                                                                    oidc(map[string]string{"AUTH_OIDC_CLIENT_SECRET": "", "AUTH_OIDC_CLIENT_AUTH": "none"}),
		"AUTH_OIDC_PAR: must be auto or off":                                                           oidc(map[string]string{"AUTH_OIDC_PAR": "on"}),
		"AUTH_OIDC_PARAMS: \"state\" is a parameter .*":                                                oidc(map[string]string{"AUTH_OIDC_PARAMS": "state=x"}),
		"AUTH_OIDC_LOGIN_PARAMS: \"nonce\" is a parameter .*":                                          oidc(map[string]string{"AUTH_OIDC_LOGIN_PARAMS": "login_hint,nonce"}),
		"AUTH_OIDC_DISCOVERY_URL: \"http://id.internal\" is not https":                                 oidc(map[string]string{"AUTH_OIDC_DISCOVERY_URL": "http://id.internal", "DWOLLA_ENVIRONMENT": "production", "SESSION_KEYS": sessionKey("a")}),
		`AUTH_BEARER_ISSUER: "P2abc" is not an absolute URL .*`:                                        {"AUTH_BEARER_ISSUER": "P2abc"},
		"AUTH_BEARER_ISSUER: \"http://idp.example\" is not https":                                      {"AUTH_BEARER_ISSUER": "http://idp.example", "AUTH_BEARER_JWKS_URL": "https://idp/keys", "DWOLLA_ENVIRONMENT": "production"},
		`AUTH_BEARER_JWKS_URL: "https://…" has a fragment .*`:                                          {"AUTH_BEARER_JWKS_URL": "https://idp/keys?a#b"},
		`AUTH_BEARER_JWKS_URL: "http://idp/keys" is not https`:                                         {"AUTH_BEARER_JWKS_URL": "http://idp/keys?a", "DWOLLA_ENVIRONMENT": "production"},
		"AUTH_BEARER_HEADER: is not a header .*":                                                       {"AUTH_BEARER_HEADER": "Cookie"},
		"AUTH_BEARER_REQUIRED_CLAIMS: \"token_use\" is not NAME=VALUE":                                 {"AUTH_BEARER_REQUIRED_CLAIMS": "token_use"},
		"AUTH_USER_CLAIM: is not a JSON Pointer.*":                                                     {"AUTH_USER_CLAIM": "/a~"},
		"CUSTOMER_CLAIM: is not a JSON Pointer.*":                                                      {"CUSTOMER_CLAIM": "/a~2"},
		"HTTP_MAX_HEADER_BYTES: 65537 is not between 8192 and 65536":                                   {"HTTP_MAX_HEADER_BYTES": "65537"},
		"HTTP_MAX_HEADER_BYTES: 8191 is not between 8192 and 65536":                                    {"HTTP_MAX_HEADER_BYTES": "8191"},
		"AUTH_BEARER_COOKIE: .*":                                                                       {"AUTH_BEARER_COOKIE": "a b"},
		"AUTH_OIDC_ISSUER: is required":                                                                oidc(map[string]string{"AUTH_OIDC_ISSUER": ""}),
		"AUTH_OIDC_CLIENT_ID: is required":                                                             oidc(map[string]string{"AUTH_OIDC_CLIENT_ID": ""}),
		"AUTH_OIDC_CLIENT_SECRET: is required":                                                         oidc(map[string]string{"AUTH_OIDC_CLIENT_SECRET": ""}),
		"AUTH_OIDC_CLIENT_SECRET: is shorter than 16 characters":                                       oidc(map[string]string{"AUTH_OIDC_CLIENT_SECRET": "very-secret"}),
		`AUTH_OIDC_ISSUER: "http://idp" is not https`:                                                  oidc(map[string]string{"AUTH_OIDC_ISSUER": "http://idp", "DWOLLA_ENVIRONMENT": "production"}),
		"AUTH_OIDC_ISSUER: differs from AUTH_BEARER_ISSUER: .*":                                        oidc(map[string]string{"AUTH_MODES": "bearer,oidc", "AUTH_OIDC_ISSUER": "https://other.example.com"}),
		"AUTH_BEARER_AUDIENCE: equals AUTH_OIDC_CLIENT_ID, .*":                                         oidc(map[string]string{"AUTH_MODES": "oidc,bearer", "AUTH_OIDC_CLIENT_ID": "dropgate"}),
		"AUTH_OIDC_SCOPES: must include openid: .*":                                                    oidc(map[string]string{"AUTH_OIDC_SCOPES": "profile openid2"}),
		"PUBLIC_URL: is required":                                                                      oidc(map[string]string{"PUBLIC_URL": ""}),
		`PUBLIC_URL: "https://app.example.com/x" is not .*BASE_PATH`:                                   oidc(map[string]string{"PUBLIC_URL": "https://app.example.com/x"}),
		`PUBLIC_URL: "http://app.example.com" is not https`:                                            oidc(map[string]string{"PUBLIC_URL": "http://app.example.com"}),
		`PUBLIC_URL: "http://127.0.0.1.example.com" is not https`:                                      oidc(map[string]string{"PUBLIC_URL": "http://127.0.0.1.example.com"}),
		`PUBLIC_URL: "http://localhost:8080" is not https.*`:                                           oidc(map[string]string{"PUBLIC_URL": "http://localhost:8080", "DWOLLA_ENVIRONMENT": "production"}),
		`SESSION_STORE: must be memory or redis, not "file"`:                                           oidc(map[string]string{"SESSION_STORE": "file"}),
		"REDIS_URL: is required":                                                                       oidc(map[string]string{"SESSION_STORE": "redis"}),
		"REDIS_URL: is not a URL such as .*":                                                           oidc(map[string]string{"SESSION_STORE": "redis", "REDIS_URL": "https://:the-very-secret@redis"}),
		"SESSION_IDLE_TIMEOUT: 10s is not between 1m0s and 24h0m0s":                                    oidc(map[string]string{"SESSION_IDLE_TIMEOUT": "10s"}),
		"SESSION_LIFETIME: 1000h0m0s is not between 5m0s and 720h0m0s":                                 oidc(map[string]string{"SESSION_LIFETIME": "1000h"}),
		`SESSION_SAMESITE: must be strict, lax or none`:                                                oidc(map[string]string{"SESSION_SAMESITE": "Strict"}),
		"SESSION_SAMESITE: cannot be none: browsers accept that over https only, .*":                   oidc(map[string]string{"SESSION_SAMESITE": "none", "PUBLIC_URL": "http://localhost:8080"}),
		"AUTH_FORWARD_URL: is required":                                                                {"AUTH_MODES": "bearer,forward"},
		`AUTH_FORWARD_URL: "/me" is not an absolute URL .*`:                                            {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "/me"},
		`AUTH_FORWARD_URL: "http://app/me" is not https`:                                               {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "http://app/me", "DWOLLA_ENVIRONMENT": "production"},
		"AUTH_FORWARD_CACHE: 1h0m0s is not between 0s and 5m0s":                                        {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_CACHE": "1h"},
		`AUTH_FORWARD_SET_COOKIE: must list the names of cookies, such as sid, not "true"`:             {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_SET_COOKIE": "true"},
		`AUTH_FORWARD_SET_COOKIE: must list the names of cookies, such as sid, not "a b"`:              {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_SET_COOKIE": "sid,a b"},
		"AUTH_FORWARD_SET_COOKIE: cannot list __Host-dropgate-session: another mode reads this cookie": {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_SET_COOKIE": "__Host-dropgate-session"},
		"AUTH_FORWARD_SET_COOKIE: cannot list dropgate-login-1: another mode reads this cookie":        {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_SET_COOKIE": "dropgate-login-1"},
		"AUTH_FORWARD_SET_COOKIE: cannot list __Host-token: another mode reads this cookie":            {"AUTH_MODES": "bearer,forward", "AUTH_BEARER_COOKIE": "__Host-token", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_SET_COOKIE": "__Host-token"},
		"AUTH_FORWARD_SET_COOKIE: has more than 16 names":                                              {"AUTH_MODES": "forward", "AUTH_FORWARD_URL": "https://app/me", "AUTH_FORWARD_SET_COOKIE": "a" + strings.Repeat(",a", 16)},
		"AUTH_PROXY_SECRET: is required":                                                               {"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "10.0.0.0/8", "CUSTOMER_SOURCE": "database"},
		"AUTH_PROXY_SECRET: is shorter than 16 characters":                                             {"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "10.0.0.0/8", "AUTH_PROXY_SECRET": "very-secret", "CUSTOMER_SOURCE": "database"},
		"TRUSTED_PROXIES: is required for the mode proxy: .*":                                          {"AUTH_MODES": "proxy,bearer", "AUTH_PROXY_SECRET": "the-very-secret-one", "CUSTOMER_SOURCE": "database"},
		`TRUSTED_PROXIES: 0\.0\.0\.0/0 includes every address, not only the proxy's`:                   {"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "10.0.0.0/8,0.0.0.0/0", "AUTH_PROXY_SECRET": "the-very-secret-one", "CUSTOMER_SOURCE": "database"},
		"TRUSTED_PROXIES: ::/0 includes every address, not only the proxy's":                           {"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "::/0", "AUTH_PROXY_SECRET": "the-very-secret-one", "CUSTOMER_SOURCE": "database"},
		"AUTH_MODES: proxy must be the first one: .*":                                                  {"AUTH_MODES": "bearer,proxy", "TRUSTED_PROXIES": "10.0.0.0/8", "AUTH_PROXY_SECRET": "the-very-secret-one", "CUSTOMER_SOURCE": "database"},
		"AUTH_MODES: forward must be the last one: .*":                                                 {"AUTH_MODES": "forward,bearer", "AUTH_FORWARD_URL": "https://app.internal/me"},
		"AUTH_MODES: forward must be .*, even the session cookie":                                      oidc(map[string]string{"AUTH_MODES": "forward,oidc", "AUTH_FORWARD_URL": "https://app.internal/me"}),
		"AUTH_PROXY_HEADER: .*":                                                                        {"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "10.0.0.0/8", "AUTH_PROXY_SECRET": "the-very-secret-one", "AUTH_PROXY_HEADER": "cookie", "CUSTOMER_SOURCE": "database"},
		"CUSTOMER_SOURCE: is claim, but .*":                                                            {"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "10.0.0.0/8", "AUTH_PROXY_SECRET": "the-very-secret-one"},
		"RATE_LIMIT_USER: must be off, or a number and a duration .*":                                  {"RATE_LIMIT_USER": "60"},
		"RATE_LIMIT_USER: 24 must be between 25 .a Customer with four .*and 1000000":                   {"RATE_LIMIT_USER": "24/1m"},
		"RATE_LIMIT_CREATE: 0 must be between 1 .*":                                                    {"RATE_LIMIT_CREATE": "0/1h"},
		"RATE_LIMIT_IP: 25h must be between 1s and 24h0m0s":                                            {"RATE_LIMIT_IP": "300/25h"},
		"REDIS_URL: is not a URL such as rediss://user:.*":                                             {"REDIS_URL": "redis://user:hunter2@host:port/0"},
		"LOG_LEVEL: .*":                                   {"LOG_LEVEL": "disabled"},
		"LOG_FORMAT: must be json or console":             {"LOG_FORMAT": "text"},
		"SHUTDOWN_TIMEOUT: 0s is not between 1s and 5m0s": {"SHUTDOWN_TIMEOUT": "0s"},
		"DWOLLA_CLIENT_SECRET: is given twice: .*":        {"DWOLLA_CLIENT_SECRET_FILE": "/dev/null"},
	} {
		t.Run(want, func(t *testing.T) {
			faults := faultsOf(t, changes)
			if len(faults) != 1 || !regexp.MustCompile("^"+want+"$").MatchString(faults[0]) {
				t.Errorf("faults %q", faults)
			}
		})
	}
}

// TestReadmeNamesExistingTests keeps the README's table of promises true.
func TestReadmeNamesExistingTests(t *testing.T) {
	readme, err := os.ReadFile("../../docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(readme), -1)
	if len(named) < 6 {
		t.Errorf("only %d tests are named", len(named))
	}
	files, err := filepath.Glob("../../[ci]*/*/*_test.go") // cmd and internal
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(content)
	}
	for _, name := range named {
		if !strings.Contains(tests.String(), "func "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// FuzzLoad: Load never panics, and never accepts a configuration without actions.
func FuzzLoad(f *testing.F) {
	for name, value := range good() {
		f.Add(name, value)
	}
	f.Add("ALLOWED_ORIGINS", "https://a.example,*")
	f.Add("TRUSTED_PROXIES", "::ffff:0:0/96")
	f.Add("DWOLLA_BASE_URL", "https://[::1]:80")
	f.Fuzz(func(t *testing.T, name, value string) {
		vars := good()
		vars[name] = value
		config, err := app.Load(environ(vars))
		if err != nil && !strings.HasPrefix(err.Error(), "the configuration has faults:\n  ") {
			t.Errorf("error %v", err)
		}
		if err == nil && (len(config.AllowedActions) == 0 || config.BearerIssuer == "" || config.BearerAudience == "") {
			t.Errorf("%q=%q was accepted", name, value)
		}
	})
}

func TestLoadReportsAllFaultsAtOnce(t *testing.T) {
	_, err := app.Load([]string{"LOG_LEVEL=loud", "DWOLLA_TIMEOUT=soon", "CUSTOMER_SOURCE=lookup", "ADMIN_TOKEN=x", "RATE_LIMIT_IP=1/1s", "POLICY_FILE=x"})
	wrong, ok := errors.AsType[*app.ConfigError](err)
	if !ok {
		t.Fatalf("%v, want a *ConfigError", err)
	}
	var names []string
	for _, fault := range wrong.Faults {
		name, _, _ := strings.Cut(fault, ":")
		names = append(names, name)
	}
	want := []string{
		"DWOLLA_ENVIRONMENT", "DWOLLA_CLIENT_ID", "DWOLLA_CLIENT_SECRET", "DWOLLA_TIMEOUT",
		"ALLOWED_ACTIONS", "AUTH_MODES", "CUSTOMER_LOOKUP_URL", "ADMIN_TOKEN", "ADMIN_TOKEN", "RATE_LIMIT_IP", "LOG_LEVEL", "POLICY_FILE",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
	}
}
