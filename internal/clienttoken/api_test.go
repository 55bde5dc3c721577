package clienttoken_test

import (
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

func TestNewAPIHasTheRightRoot(t *testing.T) {
	tests := []struct {
		env           clienttoken.Environment
		baseURL, root string
	}{
		{clienttoken.Sandbox, "", "https://api-sandbox.dwolla.com"},
		{clienttoken.Production, "", "https://api.dwolla.com"},
		{clienttoken.Sandbox, "http://127.0.0.1:17188", "http://127.0.0.1:17188"},
		{clienttoken.Sandbox, "http://127.0.0.1:17188/", "http://127.0.0.1:17188"},
		{clienttoken.Sandbox, "http://[::1]:17188", "http://[::1]:17188"},
		{clienttoken.Sandbox, "http://emulator", "http://emulator"},
		{clienttoken.Sandbox, "https://gateway.bank.example/dwolla/", "https://gateway.bank.example/dwolla"},
		{clienttoken.Production, gatewayURL, gatewayURL},
		{clienttoken.Production, gatewayURL + "/", gatewayURL},
	}
	for _, test := range tests {
		a, err := clienttoken.NewAPI(test.env, test.baseURL)
		if err != nil || a.Root() != test.root {
			t.Errorf("NewAPI(%s, %q) has the root %q, %v; want %q", test.env, test.baseURL, a.Root(), err, test.root)
		}
	}
}

func TestNewAPIRefusesAnUnknownEnvironment(t *testing.T) {
	for _, env := range []clienttoken.Environment{"", "Sandbox", "PRODUCTION", "prod", "uat", " sandbox"} {
		for _, baseURL := range []string{"", "https://gateway.bank.example"} {
			a, err := clienttoken.NewAPI(env, baseURL)
			mentions(t, err, `"sandbox"`, `"production"`)
			if a.Root() != "" {
				t.Errorf("NewAPI(%q, %q) has the root %q beside its error", env, baseURL, a.Root())
			}
		}
	}
}

func TestNewAPIRefusesProductionInTheClear(t *testing.T) {
	for _, baseURL := range []string{
		"http://gateway.bank.example", "HTTP://gateway.bank.example", "http://127.0.0.1:17188", "http://api.dwolla.com",
	} {
		_, err := clienttoken.NewAPI(clienttoken.Production, baseURL)
		mentions(t, err, "https", "base URL")
	}
}

func TestNewAPIRefusesTheOtherEnvironmentsHost(t *testing.T) {
	for baseURL, environment := range map[string]clienttoken.Environment{
		"https://api.dwolla.com":              clienttoken.Sandbox,
		"https://API.dwolla.com/":             clienttoken.Sandbox,
		"https://api.dwolla.com/v1":           clienttoken.Sandbox,
		"https://api-sandbox.dwolla.com":      clienttoken.Production,
		"https://api-sandbox.dwolla.com/path": clienttoken.Production,
	} {
		_, err := clienttoken.NewAPI(environment, baseURL)
		mentions(t, err, string(environment), "base URL")
	}
}

func TestNewAPIRefusesMoreThanARoot(t *testing.T) {
	for name, baseURL := range map[string]string{
		"user":                          "https://user@gateway.bank.example",
		"user and password":             "https://user:password@gateway.bank.example",
		"query":                         "https://gateway.bank.example?a=b",
		"empty query":                   "https://gateway.bank.example/?",
		"fragment":                      "https://gateway.bank.example#a",
		"dots":                          "https://gateway.bank.example/..",
		"dots on the way":               "https://gateway.bank.example/a/../b",
		"escaped dots":                  "https://gateway.bank.example/%2e%2e",
		"escaped slash":                 "https://gateway.bank.example/a%2fb",
		"empty segment":                 "https://gateway.bank.example//a",
		"empty segment at the end":      "https://gateway.bank.example/a//",
		"two slashes at the end":        "https://gateway.bank.example//",
		"backslash":                     `https://gateway.bank.example\a`,
		"space in front":                " https://gateway.bank.example",
		"space behind":                  "https://gateway.bank.example ",
		"newline behind":                "https://gateway.bank.example\n",
		"space in the path":             "https://gateway.bank.example/a b",
		"quotes":                        `"https://gateway.bank.example"`,
		"angle brackets":                "https://gateway.bank.example/<a>",
		"not ASCII":                     "https://gateway.ban\u212a.example",
		"DEL":                           "https://gateway.bank.example/\x7f",
		"no scheme":                     "gateway.bank.example",
		"no scheme, with a port":        "gateway.bank.example:8443",
		"scheme-relative":               "//gateway.bank.example",
		"another scheme":                "ftp://gateway.bank.example",
		"scheme with a long s":          "http\u017f://gateway.bank.example",
		"no host":                       "https://",
		"no host and a slash":           "https:///",
		"no host and a path":            "https:///dwolla",
		"no host and a port":            "https://:8443",
		"only slashes":                  "/",
		"a path":                        "/dwolla",
		"longer than any URL":           "https://gateway.bank.example/" + strings.Repeat("a", 3<<10),
		"port that is not a number":     "https://gateway.bank.example:https",
		"brackets that stay open":       "https://[::1",
		"character that no host has":    "https://gateway^bank.example",
		"brackets in the middle":        "https://gateway[1].bank.example",
		"two ports, as of a typo":       "https://gateway.bank.example:84:43",
		"scheme written twice, a paste": "https://https://gateway.bank.example",
	} {
		for _, env := range []clienttoken.Environment{clienttoken.Sandbox, clienttoken.Production} {
			a, err := clienttoken.NewAPI(env, baseURL)
			if err == nil || a.Root() != "" {
				t.Errorf("%s: NewAPI(%s, %.100q) has the root %q, %v; want an error", name, env, baseURL, a.Root(), err)
			}
		}
	}
}
