package auth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"dropgate/internal/auth"
)

// padded is a key set of exactly n bytes.
func padded(n int, set ...any) http.HandlerFunc {
	body := asJSON(map[string]any{"keys": set})
	return text(body + strings.Repeat(" ", n-len(body)))
}

// withStatus is a good key set under another status.
func withStatus(code int, set ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		document(map[string]any{"keys": set})(w, r)
	}
}

func TestLastGoodKeysStayDuringOutage(t *testing.T) {
	other := public("other", otherKey())
	weak := other
	weak.Use = "enc"
	for name, page := range map[string]http.HandlerFunc{
		"500":                     status(http.StatusInternalServerError),
		"404":                     status(http.StatusNotFound),
		"204":                     status(http.StatusNoContent),
		"an error with keys":      withStatus(http.StatusServiceUnavailable, other),
		"a redirect with keys":    withStatus(http.StatusFound, other),
		"a part with keys":        withStatus(http.StatusPartialContent, other),
		"HTML":                    text("<html>"),
		"nothing":                 text(""),
		"null":                    text("null"),
		"a list":                  text("[]"),
		"half a document":         text(`{"keys":[` + asJSON(other)),
		"two documents":           text(asJSON(map[string]any{"keys": []any{other}}) + "{}"),
		"no keys":                 text(`{"keys":[]}`),
		"no keys that are of use": document(map[string]any{"keys": []any{weak}}),
		"no answer":               after(time.Hour, document(map[string]any{"keys": []any{other}})),
		"an answer too late":      after(5*time.Second+time.Millisecond, document(map[string]any{"keys": []any{other}})),
		"100 KiB and a byte":      padded(100<<10+1, other),
		"10 MiB":                  padded(10<<20, other),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(published()...))
				w.run(t)
				w.want(t, alice, goodToken())
				w.idp.serve(jwks, page)
				advance(2*refreshEvery + time.Minute)
				w.want(t, alice, goodToken())
				w.want(t, alice, tokenWith(object{"jti": "never seen"}))
				w.want(t, refused, forged("unknown"))
				fetches := len(w.idp.fetched())
				if fetches < 3 {
					t.Fatalf("%d fetches", fetches)
				}
				w.idp.publish(other)
				advance(refreshEvery)
				w.want(t, alice, sign(otherKey(), header(object{"kid": "other"}), claims(nil)))
				w.want(t, refused, goodToken())
			})
		})
	}
}

func TestKeySetAcceptsDocumentsAtItsLimits(t *testing.T) {
	for name, page := range map[string]http.HandlerFunc{
		"100 KiB":    padded(100<<10, public("rsa", rsaKey())),
		"after 4.9s": after(4900*time.Millisecond, padded(1000, public("rsa", rsaKey()))),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP())
				w.idp.serve(jwks, page)
				w.run(t)
				advance(4900 * time.Millisecond)
				w.want(t, alice, goodToken())
			})
		})
	}
}

func TestUnusableKeyDoesNotDisqualifyOthers(t *testing.T) {
	ecPoint := asJSON(public("off-curve", ecKey()))
	offCurve := strings.Replace(ecPoint, `"x":"`, `"x":"AAAA`, 1)
	for name, key := range map[string]string{
		"unknown kty":      `{"kty":"LATTICE","kid":"new","pub":"AQAB"}`,
		"unknown curve":    `{"kty":"EC","crv":"secp256k1","kid":"new","x":"AQAB","y":"AQAB"}`,
		"no kty":           `{"kid":"new"}`,
		"empty":            `{}`,
		"null":             `null`,
		"a number":         `5`,
		"text":             `"key"`,
		"broken base64":    `{"kty":"RSA","kid":"new","n":"!","e":"AQAB"}`,
		"no modulus":       `{"kty":"RSA","kid":"new","e":"AQAB"}`,
		"modulus of zero":  `{"kty":"RSA","kid":"new","n":"","e":"AQAB"}`,
		"off the curve":    offCurve,
		"broken x5c":       `{"kty":"RSA","kid":"new","n":"AQAB","e":"AQAB","x5c":["!"]}`,
		"kid a number":     `{"kty":"RSA","kid":5,"n":"AQAB","e":"AQAB"}`,
		"symmetric":        `{"kty":"oct","kid":"new","k":"` + encoded(leaked) + `"}`,
		"short Ed25519":    `{"kty":"OKP","crv":"Ed25519","kid":"new","x":"AQAB"}`,
		"X25519":           `{"kty":"OKP","crv":"X25519","kid":"new","x":"` + encoded(leaked[:32]) + `"}`,
		"member twice":     `{"kty":"RSA","kty":"EC","kid":"new"}`,
		"a set in the set": `{"keys":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				raw := json.RawMessage(key)
				w := newHarness(newIDP(raw, public("rsa", rsaKey()), raw))
				w.run(t)
				w.want(t, alice, goodToken())
			})
		})
	}
}

func TestKeysComeOnlyFromIssuersDiscoveryDocument(t *testing.T) {
	insecure := "http://id.example.com"
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
	}
	metadataPage := func(iss, uri string) http.HandlerFunc {
		return document(map[string]any{"issuer": iss, "jwks_uri": uri})
	}
	byIssuer := func(iss string) func(*auth.BearerConfig, *auth.KeySetConfig) {
		return func(b *auth.BearerConfig, k *auth.KeySetConfig) { b.Issuer, k.Issuer = iss, iss }
	}
	asIs := byIssuer(issuer)
	for _, c := range []struct {
		name  string
		edit  func(*auth.BearerConfig, *auth.KeySetConfig)
		pages map[string]http.HandlerFunc
		iss   string
		want  string
	}{
		{"right", asIs, nil, issuer, alice},
		{"keys at another host", asIs, map[string]http.HandlerFunc{discovery: metadataPage(issuer, "https://keys.example.net"+jwks)}, issuer, alice},
		{"another issuer", asIs, map[string]http.HandlerFunc{discovery: metadataPage("https://evil.example.com", issuer+jwks)}, issuer, unavailable},
		{"issuer with a slash", asIs, map[string]http.HandlerFunc{discovery: metadataPage(issuer+"/", issuer+jwks)}, issuer, unavailable},
		{"no issuer", asIs, map[string]http.HandlerFunc{discovery: metadataPage("", issuer+jwks)}, issuer, unavailable},
		{"keys over http", asIs, map[string]http.HandlerFunc{discovery: metadataPage(issuer, insecure+jwks)}, issuer, unavailable},
		{"no jwks_uri", asIs, map[string]http.HandlerFunc{discovery: metadataPage(issuer, "")}, issuer, unavailable},
		{"jwks_uri no URL", asIs, map[string]http.HandlerFunc{discovery: metadataPage(issuer, "https://\x7f")}, issuer, unavailable},
		{"discovery over 100 KiB", asIs, map[string]http.HandlerFunc{
			discovery: text(asJSON(map[string]any{"issuer": issuer, "jwks_uri": issuer + jwks}) + strings.Repeat(" ", 100<<10)),
		}, issuer, unavailable},
		{"discovery moved", asIs, map[string]http.HandlerFunc{
			discovery: to("https://evil.example.com/moved"), "/moved": metadataPage(issuer, issuer+jwks),
		}, issuer, unavailable},
		{"keys moved", asIs, map[string]http.HandlerFunc{
			jwks: to("https://evil.example.com/moved"), "/moved": document(map[string]any{"keys": published()}),
		}, issuer, unavailable},
		{"issuer that ends in a slash", byIssuer(issuer + "/"), map[string]http.HandlerFunc{discovery: metadataPage(issuer+"/", issuer+jwks)}, issuer + "/", alice},
		{"issuer over http", byIssuer(insecure), map[string]http.HandlerFunc{discovery: metadataPage(insecure, insecure+jwks)}, insecure, alice},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(published()...), c.edit)
				for path, page := range c.pages {
					w.idp.serve(path, page)
				}
				w.run(t)
				w.want(t, c.want, sign(rsaKey(), header(nil), claims(object{"iss": c.iss})))
				for _, host := range w.idp.asked() {
					if host == "evil.example.com" {
						t.Error("a redirect was followed")
					}
				}
			})
		})
	}
}

func TestConfiguredKeySetURLSkipsDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		configured := func(_ *auth.BearerConfig, k *auth.KeySetConfig) { k.URL = "https://keys.example.net/set" }
		w := newHarness(newIDP(), configured)
		w.idp.serve(discovery, status(http.StatusInternalServerError))
		w.idp.serve("/set", document(map[string]any{"keys": published()}))
		w.run(t)
		w.want(t, alice, goodToken())
		if asked := w.idp.asked(); len(asked) != 1 || asked[0] != "keys.example.net" {
			t.Errorf("asked %q, want the configured host once", asked)
		}
	})
}

func TestKeySetCountsFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...))
		w.run(t) // one
		advance(time.Minute)
		w.idp.serve(jwks, status(http.StatusInternalServerError))
		advance(2 * refreshEvery) // two
		w.idp.publish(published()...)
		advance(refreshEvery) // one
		want := `
# HELP dropgate_jwks_refresh_total Fetches of the identity provider's keys by outcome: success or failure.
# TYPE dropgate_jwks_refresh_total counter
dropgate_jwks_refresh_total{outcome="failure"} 2
dropgate_jwks_refresh_total{outcome="success"} 2
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "dropgate_jwks_refresh_total"); err != nil {
			t.Error(err)
		}
	})
}

// Shutdown must not wait for a provider.
func TestKeySetRunCancelsItsFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...))
		w.idp.serve(discovery, after(time.Hour, text("")))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.keys.Run(ctx)
		}()
		advance(time.Second)
		stop()
		<-ended
		if since := time.Since(midnight); since != time.Second {
			t.Errorf("Run returned after %v, want at once", since)
		}
		advance(fetchEvery)
		w.want(t, unavailable, goodToken())
		if n := len(w.idp.fetched()); n != 1 {
			t.Errorf("%d fetches, want the one that was cut short", n)
		}
	})
}

// Waiting requests hold connections, so the others get an answer at once.
func TestKeySetBoundsWaitingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all, waiting = 1000, 256
		token := goodToken()
		w := newHarness(newIDP(published()...))
		w.idp.serve(discovery, after(time.Hour, text("")))
		w.run(t)
		var atOnce, later atomic.Int64
		var requests sync.WaitGroup
		for range all {
			requests.Go(func() {
				checkUnavailable(t, w, token)
				if waited := time.Since(midnight); waited == 0 {
					atOnce.Add(1)
				} else if waited == 2*time.Second {
					later.Add(1)
				}
			})
		}
		requests.Wait()
		if atOnce.Load() != all-waiting || later.Load() != waiting {
			t.Errorf("%d were answered at once and %d after 2s, want %d and %d", atOnce.Load(), later.Load(), all-waiting, waiting)
		}
	})
}
