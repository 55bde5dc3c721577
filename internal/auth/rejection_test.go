package auth_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
)

func TestRejectedTokensAreCountedByKind(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		want   auth.RejectionKind
	}{
		"garbage":           {bearer("garbage"), auth.Invalid},
		"two headers":       {http.Header{"Authorization": {"Bearer a", "Bearer b"}}, auth.Ambiguous},
		"DPoP":              {http.Header{"Authorization": {"DPoP a"}}, auth.Unsupported},
		"another issuer":    {bearer(tokenWith(object{"iss": "https://other.example.com"})), auth.WrongParty},
		"another audience":  {bearer(tokenWith(object{"aud": "other"})), auth.WrongParty},
		"expired":           {bearer(tokenWith(object{"exp": 5})), auth.Expired},
		"not valid yet":     {bearer(tokenWith(object{"nbf": 4102444800})), auth.Expired},
		"no expiry":         {bearer(tokenWith(object{"exp": absent{}})), auth.Invalid},
		"no user":           {bearer(tokenWith(object{"sub": ""})), auth.NoUser},
		"bound to a key":    {bearer(tokenWith(object{"cnf": object{"jkt": "x"}})), auth.Unsupported},
		"an unreadable sub": {bearer(tokenWith(object{"sub": object{}})), auth.Invalid},
	} {
		runSynctest(t, name, func(t *testing.T) {
			w := newHarness(newIDP(published()...))
			w.run(t)
			registry := prometheus.NewRegistry()
			_, err := auth.NewChain(registry, w.bearer).Authenticate(request(t.Context(), c.header), nil)
			if rejection, ok := errors.AsType[*auth.Rejection](err); !ok || rejection.Kind != c.want {
				t.Errorf("%v of kind %v, want %s", err, rejection, c.want)
			}
			if got := counted(t, registry); got["bearer rejected "+string(c.want)] != 1 || len(got) != 1 {
				t.Errorf("counted %v, want %s", got, c.want)
			}
		})
	}
}
