package auth_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A cached token must not make an altered copy pass.
func TestBearerRefusesAlteredCopyOfCachedToken(t *testing.T) {
	for name, good := range map[string]string{
		"RS256": goodToken(),
		"PS256": sign(rsaKey(), header(object{"alg": "PS256"}), claims(nil)),
		"ES256": sign(ecKey(), header(object{"alg": "ES256", "kid": "ec"}), claims(nil)),
		"EdDSA": sign(edKey(), header(object{"alg": "EdDSA", "kid": "ed"}), claims(nil)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newHarness(newIDP(published()...))
				w.run(t)
				w.want(t, alice, good)
				for _, changed := range changedInOne(good) {
					if got := w.ask(changed); got != refused {
						t.Errorf("%s:\n%s for\n%s", got, changed, good)
					}
				}
				w.want(t, alice, good)
			})
		})
	}
}

// changedInOne returns tokens with one changed character. The last character of
// each part takes all values, since some of its bits are unused.
func changedInOne(good string) []string {
	var changed []string
	change := func(at int, to string) {
		for _, c := range to {
			if other := good[:at] + string(c) + good[at+1:]; other != good {
				changed = append(changed, other)
			}
		}
	}
	for i := range good {
		change(i, "Ag.")
	}
	first, second := strings.IndexByte(good, '.'), strings.LastIndexByte(good, '.')
	for _, last := range []int{first - 1, second - 1, len(good) - 1} {
		change(last, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
	}
	return changed
}

func TestCachedTokenExpiresOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...))
		w.run(t)
		soon := tokenWith(object{"exp": midnight.Add(10 * time.Second).Unix()})
		w.want(t, alice, soon)
		advance(10*time.Second + time.Minute)
		w.want(t, alice, soon) // within the clock skew: verified again
		advance(time.Second)
		w.want(t, refused, soon)
	})
}

// The cache stores the token, not its place in the request.
func TestCachedTokenKeepsNoCredentialKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mode := bearerMode()(t)
		for _, c := range []struct {
			header http.Header
			want   string
		}{
			{bearer(goodToken()), alice},
			{inCookie(goodToken()), aliceCookie},
			{bearer(goodToken()), alice},
		} {
			if got := verdict(mode.Authenticate(request(t.Context(), c.header), nil)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		}
	})
}
