package app_test

import (
	"strings"
	"testing"
)

// TestFaultsNeverQuotePasswordsInURLs: faults end up in logs. Each of these URLs
// has one.
func TestFaultsNeverQuotePasswordsInURLs(t *testing.T) {
	forward := map[string]string{"AUTH_MODES": "forward"}
	for name, others := range map[string]map[string]string{
		"DWOLLA_BASE_URL": {}, "AUTH_BEARER_ISSUER": {}, "ALLOWED_ORIGINS": {}, "AUTH_FORWARD_URL": forward,
		"AUTH_OIDC_ISSUER": oidc(nil), "PUBLIC_URL": oidc(nil),
	} {
		for _, url := range []string{
			"https://user:the-very-secret@idp.example.com", "http://the-very-secret@idp", "https://idp.example.com?key=the-very-secret",
			"https://idp.example.com#the-very-secret", "the-very-secret@://idp", "ftp://user:the-very-secret@x:y\x7f",
		} {
			changes := map[string]string{name: url}
			for other, value := range others {
				if other != name {
					changes[other] = value
				}
			}
			// faultsOf looks for the secret.
			if faults := faultsOf(t, changes); len(faults) == 0 || !strings.HasPrefix(strings.Join(faults, "\n")+"\n", name+": ") {
				t.Errorf("%s: faults %q", name, faults)
			}
		}
	}
}

// The query of AUTH_BEARER_JWKS_URL is accepted, and so is never quoted.
func TestFaultsNeverQuoteTheQueryOfKeyAddresses(t *testing.T) {
	for _, url := range []string{
		"https://user:the-very-secret@idp.example.com", "http://the-very-secret@idp", "https://idp.example.com?key=the-very-secret#x",
		"https://idp.example.com#the-very-secret", "the-very-secret@://idp", "ftp://idp?the-very-secret", "keys?the-very-secret",
	} {
		faults := faultsOf(t, map[string]string{"AUTH_BEARER_JWKS_URL": url})
		if len(faults) == 0 || !strings.HasPrefix(strings.Join(faults, "\n"), "AUTH_BEARER_JWKS_URL: ") {
			t.Errorf("faults %q", faults)
		}
	}
}
