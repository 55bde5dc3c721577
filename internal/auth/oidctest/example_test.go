package oidctest_test

import (
	"net/http"
	"net/http/cookiejar"
	"testing"

	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
)

// A test starts the provider, then its service.
func ExampleNew() {
	var t *testing.T // the test's own

	idp := oidctest.New(t, provider.Options{
		Users: map[string]map[string]any{"alice": {"email": "alice@example.com"}},
	})
	// Configure the service with idp.Issuer, oidctest.Audience, oidctest.ClientID
	// and oidctest.ClientSecret, start it, then register its address.
	const service = "http://127.0.0.1:8080"
	idp.AddClient(oidctest.Client(service))

	_ = idp.Bearer("alice") // for an Authorization header

	jar, _ := cookiejar.New(nil)
	resp := idp.SignIn(&http.Client{Jar: jar}, service+"/auth/login", "alice")
	_ = resp.Body.Close()

	idp.Fail(http.StatusInternalServerError)
	// Check the service during the outage.
	idp.Heal()
}
