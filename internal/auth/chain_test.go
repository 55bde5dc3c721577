package auth_test

import (
	stdcmp "cmp"
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/ratelimit"
)

// fakeMode counts requests and gives a fixed answer.
type fakeMode struct {
	name  string
	user  string // empty: same as the mode's name
	err   error
	asked int
}

func (m *fakeMode) Name() string { return m.name }

func (m *fakeMode) Authenticate(*http.Request, *ratelimit.Charge) (auth.Session, error) {
	m.asked++
	if m.err != nil {
		return auth.Session{}, m.err
	}
	return auth.Session{User: clienttoken.User{ID: stdcmp.Or(m.user, m.name)}, Mode: m.name}, nil
}

func TestFirstModeWithCredentialDecides(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		want   string
		second int // calls of the mode after bearer
	}{
		{"good", bearer(goodToken()), alice, 1}, // for a different user
		{"good cookie", inCookie(goodToken()), aliceCookie, 1},
		{"bad", bearer("garbage"), refused, 0},
		{"expired", bearer(tokenWith(object{"exp": midnight.Unix() - 61})), refused, 0},
		{"forged", bearer(forged("rsa")), refused, 0},
		{"bad cookie", inCookie("garbage"), refused, 0},
		{"given twice", http.Header{"Authorization": {"Bearer a", "Bearer b"}}, refused, 0},
		{"of another kind", http.Header{"Authorization": {"Basic YTpi"}}, "accepted alice", 1},
		{"none", http.Header{}, "accepted alice", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				second := &fakeMode{name: "second", user: "alice"}
				chain := auth.NewChain(prometheus.NewRegistry(), bearerMode()(t), second)
				if got := verdict(chain.Authenticate(request(t.Context(), c.header), nil)); got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if second.asked != c.second {
					t.Errorf("the second mode was asked %d times, want %d", second.asked, c.second)
				}
			})
		})
	}
}

func TestOutageDoesNotFallThroughToNextMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := &fakeMode{name: "second"}
		down := newIDP()
		down.serve(discovery, status(http.StatusInternalServerError))
		chain := auth.NewChain(prometheus.NewRegistry(), newHarness(down).bearer, second)
		if got := verdict(chain.Authenticate(request(t.Context(), bearer(goodToken())), nil)); got != unavailable || second.asked != 0 {
			t.Errorf("%s, and the second mode was asked %d times; want %s and none", got, second.asked, unavailable)
		}
	})
}

func TestChainAsksModesInOrder(t *testing.T) {
	first, second := &fakeMode{name: "first"}, &fakeMode{name: "second", user: "first"}
	chain := auth.NewChain(prometheus.NewRegistry(), first, second)
	session, err := chain.Authenticate(request(t.Context(), nil), nil)
	if got := verdict(session, err); got != "accepted first" || session.Mode != "first" {
		t.Errorf("%s by %s", got, session.Mode)
	}
}

// renamed is a mode without an authentication scheme.
type renamed struct{ *auth.Bearer }

func (renamed) Name() string { return "other" }

func TestChainRejectsRequestsWithoutCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		modes     []auth.Mode
		challenge string
	}{
		"bearer":   {[]auth.Mode{newHarness(newIDP()).bearer}, `Bearer realm="dropgate"`},
		"no modes": {nil, ""},
		"others":   {[]auth.Mode{renamed{newHarness(newIDP()).bearer}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			session, err := auth.NewChain(prometheus.NewRegistry(), c.modes...).Authenticate(request(t.Context(), nil), nil)
			rejection, ok := errors.AsType[*auth.Rejection](err)
			if !ok || rejection.Mode != "none" || rejection.Challenge != c.challenge || session.User.ID != "" {
				t.Errorf("session %+v and %#v", session, err)
			}
		})
	}
}

// counted returns the authentications by "mode outcome reason", without zeros. Gather
// sorts labels by name.
func counted(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for _, family := range must(registry.Gather()) {
		if family.GetName() != "dropgate_auth_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				l := m.GetLabel()
				found[l[0].GetValue()+" "+l[1].GetValue()+" "+l[2].GetValue()] = n
			}
		}
	}
	return found
}

func TestChainCountsEachOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		mode := &fakeMode{name: "fake", user: "alice"}
		chain := auth.NewChain(registry, bearerMode()(t), mode)
		ask := func(times int, header http.Header, err error) {
			mode.err = err
			for range times {
				_, _ = chain.Authenticate(request(t.Context(), header), nil)
			}
		}
		ask(1, bearer(goodToken()), nil)
		ask(2, bearer("garbage"), nil)
		ask(3, nil, nil)
		ask(4, nil, &auth.Rejection{Mode: "fake", Kind: auth.Refused})
		ask(5, nil, &clienttoken.Failure{Code: clienttoken.Unavailable})
		ask(1, nil, context.Canceled)
		want := map[string]float64{
			"bearer accepted none": 1, "bearer rejected invalid": 2,
			"fake accepted none": 3, "fake rejected refused": 4, "fake unavailable none": 6,
		}
		if diff := cmp.Diff(want, counted(t, registry)); diff != "" {
			t.Errorf("authentications (-want +got):\n%s", diff)
		}
	})
}

func TestChainCountsMissingCredentialsAsNone(t *testing.T) {
	registry := prometheus.NewRegistry()
	chain := auth.NewChain(registry, newHarness(newIDP()).bearer)
	_, _ = chain.Authenticate(request(t.Context(), nil), nil)
	if diff := cmp.Diff(map[string]float64{"none rejected no_credentials": 1}, counted(t, registry)); diff != "" {
		t.Errorf("authentications (-want +got):\n%s", diff)
	}
}
