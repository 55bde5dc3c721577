package clienttoken_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// fuzzedAPI is a configuration with its accepted roots: host, and the path before
// the collection.
type fuzzedAPI struct {
	api   clienttoken.API
	roots []string
}

func fuzzedAPIs(f *testing.F) []fuzzedAPI {
	f.Helper()
	return []fuzzedAPI{
		{api(f, clienttoken.Sandbox, ""), []string{"api-sandbox.dwolla.com"}},
		{api(f, clienttoken.Production, ""), []string{"api.dwolla.com"}},
		{api(f, clienttoken.Sandbox, "http://127.0.0.1:17188"), []string{"api-sandbox.dwolla.com", "127.0.0.1:17188"}},
		{api(f, clienttoken.Production, gatewayURL), []string{"api.dwolla.com", "gateway.bank.example:8443/dwolla/v1"}},
	}
}

// FuzzParseCustomerURL looks for a string that clienttoken and net/url read
// differently. Both must see the same Customer in every accepted URL.
func FuzzParseCustomerURL(f *testing.F) {
	for _, s := range tricks("customers", alicesID) {
		f.Add(s.url)
	}
	for _, root := range []string{
		"api-sandbox.dwolla.com", "api.dwolla.com", "127.0.0.1:17188", "gateway.bank.example:8443/dwolla/v1",
	} {
		for _, s := range spellings(root, "customers", alicesID) {
			f.Add(s.url)
		}
	}
	apis := fuzzedAPIs(f)
	f.Fuzz(func(t *testing.T, raw string) {
		for _, a := range apis {
			got, err := clienttoken.ParseCustomerURL(a.api, raw)
			if err == nil {
				checkCanonical(t, a.api, got)
				checkPlain(t, raw, a.roots, got.ID())
			} else if !got.IsZero() {
				t.Errorf("%q gives %s beside the error %v", raw, got, err)
			}
		}
	})
}

var lowerCaseUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// checkCanonical holds c to be written under the API's own root, and to be a
// fixpoint.
func checkCanonical(t *testing.T, api clienttoken.API, c clienttoken.CustomerURL) {
	t.Helper()
	if !lowerCaseUUID.MatchString(c.ID()) {
		t.Errorf("the id %q is not a lower-case UUID", c.ID())
	}
	if want := api.Root() + "/customers/" + c.ID(); c.String() != want {
		t.Errorf("canonical form %q, want %q", c, want)
	}
	again, err := clienttoken.ParseCustomerURL(api, c.String())
	if err != nil || again != c {
		t.Errorf("the canonical form %q parses to %q, %v", c, again, err)
	}
}

// checkPlain holds raw to be nothing but {a root}/customers/{id} when net/url
// reads it.
func checkPlain(t *testing.T, raw string, roots []string, id string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("net/url refuses %q: %v", raw, err)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" || u.Opaque != "" {
		t.Errorf("net/url finds more than a host and a path in %q: %#v", raw, u)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		t.Errorf("net/url finds the scheme %q in %q", u.Scheme, raw)
	}
	whole := strings.ToLower(u.Host + strings.TrimSuffix(u.Path, "/"))
	if !slices.Contains(roots, strings.TrimSuffix(whole, "/customers/"+id)) {
		t.Errorf("net/url finds host %q and path %q in %q, not Customer %s of one of %q", u.Host, u.Path, raw, id, roots)
	}
}
