package auth_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// value returns a metric as "name{label=value,…} n" per series.
func (w *oidcHarness) value(t *testing.T, name string) []string {
	t.Helper()
	var lines []string
	for _, family := range must(w.registry.Gather()) {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			lines = append(lines, strings.Join(labels, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestOIDCCountsSignInsAndSessions(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		w.op.acceptsCodesTwice()
		b := w.browser(t)
		w.idp.serve(discovery, status(http.StatusBadGateway))
		_ = w.tryBegin(b) // unavailable
		w.serveMetadata(nil)
		advance(30 * time.Second)
		b.signIn()
		b.signIn() // replaces the previous one
		_, _ = b.logout()
		_, _ = b.logout() // no session
		for range 34 {    // 2 above the limit
			w.browser(t).signIn()
		}
		_, _ = w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", logoutToken(nil)) // 32
		_, _ = w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", "garbage")
		for _, code := range []string{"access_denied", "server_error", "made up"} {
			query := w.op.authorize(b.begin(""))
			query.Set("error", code)
			_, _ = b.callback(query)
		}
		_, _ = b.callback(url.Values{"state": {"x"}})
		_, _ = b.callback(nil)
		query := w.op.authorize(b.begin(""))
		_, _ = w.oidc.Complete(canceled(b.landed(query))) // the landing is not counted
		w.store.failOn("start")
		_, _ = b.callback(query)
		want := `
# HELP dropgate_logins_total Sign-ins with OpenID Connect by outcome (succeeded or failed) and reason (none, or the code on the error page).
# TYPE dropgate_logins_total counter
dropgate_logins_total{outcome="failed",reason="access_denied"} 1
dropgate_logins_total{outcome="failed",reason="callback_malformed"} 1
dropgate_logins_total{outcome="failed",reason="canceled"} 1
dropgate_logins_total{outcome="failed",reason="provider_refused"} 2
dropgate_logins_total{outcome="failed",reason="state_unknown"} 1
dropgate_logins_total{outcome="failed",reason="unavailable"} 2
dropgate_logins_total{outcome="succeeded",reason="none"} 36
# HELP dropgate_sessions_ended_total Sessions ended by reason: logout, backchannel_logout, replaced (by another sign-in in the same browser) or displaced (by newer sign-ins of a user with too many sessions). Expired sessions are not counted.
# TYPE dropgate_sessions_ended_total counter
dropgate_sessions_ended_total{reason="backchannel_logout"} 32
dropgate_sessions_ended_total{reason="displaced"} 2
dropgate_sessions_ended_total{reason="logout"} 1
dropgate_sessions_ended_total{reason="replaced"} 1
# HELP dropgate_sessions_started_total Sessions started by a sign-in.
# TYPE dropgate_sessions_started_total counter
dropgate_sessions_started_total 36
`
		err := testutil.GatherAndCompare(w.registry, strings.NewReader(want),
			"dropgate_logins_total", "dropgate_sessions_ended_total", "dropgate_sessions_started_total")
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSessionEndReasonsAreExportedFromStart(t *testing.T) {
	w := newOIDCHarness()
	if got := w.value(t, "dropgate_sessions_ended_total"); !slices.Equal(got, []string{"backchannel_logout", "displaced", "logout", "replaced"}) {
		t.Errorf("%q", got)
	}
}

// Label values come from a closed set.
func TestMetricLabelsNeverHoldRequestValues(t *testing.T) {
	closed := strings.Fields("unavailable canceled none callback_malformed state_unknown state_expired state_used return_to " +
		"issuer_mismatch access_denied provider_refused exchange_refused exchange_failed code_refused id_token_missing " +
		"id_token_invalid nonce_mismatch user_unknown")
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		for _, evil := range []string{"evil", "<script>", "a\nb", "\xff", strings.Repeat("e", 9999), "none", "succeeded"} {
			for _, name := range []string{"state", "code", "error", "iss", "error_description", "return_to", "nonce", "unknown"} {
				b := w.browser(t)
				query := w.op.authorize(b.begin(""))
				query.Set(name, evil)
				_, _ = b.callback(query)
				_, _ = w.oidc.Begin(b.request(http.MethodGet, "/?"+query.Encode(), false))
				_, _ = w.oidc.BackChannelLogout(t.Context(), "192.0.2.1", evil)
			}
		}
		for _, line := range w.value(t, "dropgate_logins_total") {
			_, reason, _ := strings.Cut(line, " ")
			if !slices.Contains(closed, reason) {
				t.Errorf("reason %q", reason)
			}
		}
	})
}
