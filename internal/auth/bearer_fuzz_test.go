package auth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

// doomsday is the expiry for tokens outside synctest.
var doomsday = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC)

// For any Authorization header, the mode must not panic. Only exact tokens signed
// by the provider are accepted.
func FuzzBearer(f *testing.F) {
	lasting := claims(object{"exp": doomsday.Unix()})
	good := map[string]string{ // user by token
		sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, lasting):                                                "alice",
		sign(edKey(), object{"alg": "EdDSA", "kid": "ed", "typ": "at+jwt"}, edited(lasting, object{"sub": "bob"})): "bob",
		sign(rsaKey(), header(nil), edited(lasting, object{"sub": "carol"})):                                       "carol",
	}
	for token := range good {
		f.Add("Bearer " + token)
		f.Add("bearer  " + token + " ")
		f.Add("Basic " + token)
		f.Add("Bearer " + token + ".")
		f.Add("Bearer " + token[:len(token)-1])
		f.Add("Bearer " + token + "," + token)
		first, rest, _ := strings.Cut(token, ".")
		payload, signature, _ := strings.Cut(rest, ".")
		f.Add("Bearer " + first + "." + payload + ".")
		f.Add("Bearer " + encoded(`{"alg":"none"}`) + "." + payload + ".")
		f.Add("Bearer " + encoded(`{"alg":"none","kid":"ed"}`) + "." + payload + "." + signature)
		f.Add("Bearer " + first + "." + encoded(`{"sub":"mallory"}`) + "." + signature)
		f.Add("Bearer " + first + "\n." + payload + "." + signature)
	}
	for _, shape := range []string{
		"", "Bearer", "Bearer ", "Bearer .", "Bearer ..", "Bearer a.b.c", "Bearer a.b.c.d.e", "Basic YTpi", "Bearer\tx", "Bearer {}",
		"Bearer " + sign([]byte(leaked), header(object{"alg": "HS256"}), lasting),
		"Bearer " + sign(attackerKey(), header(object{"jwk": public("rsa", attackerKey())}), lasting),
		"Bearer " + sign(attackerKey(), header(object{"jku": "https://evil.example.com"}), lasting),
		"Bearer " + sign(rsaKey(), header(object{"crit": []string{"pay"}, "pay": 1}), lasting),
		"Bearer " + sign(rsaKey(), header(nil), claims(object{"exp": 1})),
		"Bearer " + sign(edKey(), object{"alg": "EdDSA", "kid": "ed"}, `{"sub":"alice","sub":"alice"}`),
		"Bearer " + signText(nil, "", `{"alg":"EdDSA","kid":"ed","crit":["b64"],"b64":false}`, "payload"),
		"Bearer " + forged("nobody"),
	} {
		f.Add(shape)
	}
	w := newHarness(newIDP(public("rsa", rsaKey()), public("ed", edKey())))
	chain := auth.NewChain(prometheus.NewRegistry(), w.bearer)
	f.Fuzz(func(t *testing.T, authorization string) {
		session, err := chain.Authenticate(request(t.Context(), http.Header{"Authorization": {authorization}}), nil)
		scheme, token, _ := strings.Cut(authorization, " ")
		user, known := good[strings.TrimSpace(token)]
		if known && strings.EqualFold(scheme, "bearer") {
			if err != nil || session.User.ID != user {
				t.Errorf("the provider's token of %s: %s (%v)", user, verdict(session, err), err)
			}
			return
		}
		if _, ok := errors.AsType[*auth.Rejection](err); !ok {
			t.Errorf("%s (%v), want a rejection", verdict(session, err), err)
		}
		checkRejection(t, err, http.Header{"Authorization": {authorization}})
	})
}

// BenchmarkBearer measures one request, with a cached token and with a new one.
// The new mode per request costs little.
func BenchmarkBearer(b *testing.B) {
	w := newHarness(newIDP(published()...))
	r := request(context.Background(), bearer(sign(rsaKey(), header(nil), claims(object{"exp": doomsday.Unix()}))))
	if got := verdict(w.bearer.Authenticate(r, nil)); got != alice {
		b.Fatal(got)
	}
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.bearer.Authenticate(r, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("not remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stranger := auth.NewBearer(auth.BearerConfig{Issuer: issuer, Audience: audience, UserClaim: "sub", Keys: w.keys})
			if _, err := stranger.Authenticate(r, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
