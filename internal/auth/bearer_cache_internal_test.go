package auth

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
)

// Cache hits only show in time, so these tests look inside.

func digestOf(n int) [sha256.Size]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func sessionUntil(end time.Time) Session {
	return Session{User: clienttoken.User{ID: "alice"}, Mode: bearerName, Expires: end}
}

func TestBearerVerifiesCachedTokenOnce(t *testing.T) {
	set := NewKeySet(KeySetConfig{Registerer: prometheus.NewRegistry()})
	set.current.Store(&publicKeys{})
	b := NewBearer(BearerConfig{Issuer: "i", Audience: "a", UserClaim: "sub", Keys: set})
	const noToken = "would never pass verification"
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+noToken)
	remembered := cachedToken{sessionUntil(time.Now().Add(time.Hour)), 0}
	b.cache.add(sha256.Sum256([]byte(noToken)), remembered)
	if session, err := b.Authenticate(r, nil); err != nil || session.User.ID != "alice" {
		t.Errorf("session of %q and %v, want the remembered one", session.User.ID, err)
	}
	set.current.Store(&publicKeys{generation: 1})
	if _, err := b.Authenticate(r, nil); err == nil {
		t.Error("remembered beyond the keys that it was verified with")
	}
}

// Strangers must not fill the memory, nor evict others' entries.
func TestBearerCachesOnlyGoodTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		set := NewKeySet(KeySetConfig{Registerer: prometheus.NewRegistry()})
		set.current.Store(&publicKeys{list: []publicKey{{algorithms: []string{"EdDSA"}, public: private.Public()}}})
		set.lastFetch = time.Now().Add(time.Hour) // prevents a fetch
		b := NewBearer(BearerConfig{Issuer: "i", Audience: "a", UserClaim: "sub", Keys: set})
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, nil)
		if err != nil {
			t.Fatal(err)
		}
		until := func(end time.Time) string {
			token, err := jwt.Signed(signer).Claims(jwt.Claims{
				Issuer: "i", Audience: jwt.Audience{"a"}, Subject: "alice", Expiry: jwt.NewNumericDate(end),
			}).Serialize()
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		good, expired := until(time.Now().Add(time.Hour)), until(time.Now().Add(-time.Hour))
		for _, c := range []struct {
			token string
			after int // cached tokens afterwards
		}{{"garbage", 0}, {expired, 0}, {good + "A", 0}, {good, 1}, {good, 1}, {expired, 1}} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+c.token)
			_, err := b.Authenticate(r, nil)
			if n := b.cache.entries.Len(); n != c.after || (err == nil) != (c.token == good) {
				t.Errorf("%d tokens are remembered after %q (%v), want %d", n, c.token, err, c.after)
			}
		}
	})
}

func TestTokenCacheDropsExpiredAndOutdatedEntries(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		current *publicKeys // nil: the keys that verified the token
		want    bool
	}{
		{"not at once", 0, nil, true},
		{"not a moment before exp", time.Minute - 1, nil, true},
		{"at exp, although clocks may differ", time.Minute, nil, false},
		{"later", time.Hour, nil, false},
		{"when the keys change", 0, &publicKeys{list: []publicKey{{id: "1"}}, generation: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, old := newTokenCache(), &publicKeys{}
				v.add(digestOf(1), cachedToken{sessionUntil(time.Now().Add(time.Minute)), 0})
				<-time.After(c.after)
				session, ok := v.get(digestOf(1), cmp.Or(c.current, old))
				if ok != c.want || ok != (session.User.ID == "alice") {
					t.Errorf("session of %q, %v; want %v", session.User.ID, ok, c.want)
				}
				if kept := v.entries.Len() == 1; kept != c.want {
					t.Errorf("kept: %v, want %v", kept, c.want)
				}
				if _, ok := v.get(digestOf(2), old); ok {
					t.Error("a token that was never added is remembered")
				}
			})
		})
	}
}

// Tokens have up to 32 KiB. The cache must bound its bytes.
func TestTokenCacheStaysWithinItsByteLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, current := newTokenCache(), &publicKeys{}
		kept := newClaimFilter("sub", []string{"name", "email", "dwolla_customer"})
		before := liveHeap()
		for n := range 30_000 {
			claims := map[string]any{
				"sub": fmt.Sprint("user ", n), "name": strings.Repeat("n", n%1000), "email": strings.Repeat("é", 5000),
				"dwolla_customer": []any{strings.Repeat("d", 8000)}, "groups": strings.Repeat("g", 8000),
			}
			session := sessionUntil(time.Now().Add(time.Hour))
			session.User.Claims = kept.apply(sources{claims})
			v.add(digestOf(n), cachedToken{session, 0})
			_, _ = v.get(digestOf(0), current) // keeps entry 0 most recently used
		}
		if grown := liveHeap() - before; grown > maxCachedTokens*102/100 || v.entries.Bytes() < maxCachedTokens/2 {
			t.Errorf("%d bytes of heap, %d counted", grown, v.entries.Bytes())
		}
		for n, want := range map[int]bool{0: true, 1: false, 29_999: true} {
			if _, ok := v.get(digestOf(n), current); ok != want {
				t.Errorf("token %d remembered: %v, want %v", n, ok, want)
			}
		}
		<-time.After(time.Hour)
		if n := v.entries.Len(); n != 0 {
			t.Errorf("%d expired tokens are kept", n)
		}
	})
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
