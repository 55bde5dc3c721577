package auth_test

import (
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// counted returns the series of a metric by their labels, without zeros.
func (w *oidcHarness) counted(t *testing.T, name string) map[string]float64 {
	t.Helper()
	found := w.series(t, name)
	maps.DeleteFunc(found, func(_ string, n float64) bool { return n == 0 })
	return found
}

// series returns the series of a metric by their labels.
func (w *oidcHarness) series(t *testing.T, name string) map[string]float64 {
	t.Helper()
	found := map[string]float64{}
	for _, family := range must(w.registry.Gather()) {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			found[strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	return found
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
		want := map[string]float64{
			"failed access_denied": 1, "failed callback_malformed": 1, "failed canceled": 1, "failed provider_refused": 1,
			"failed state_unknown": 1, "failed unavailable": 3, "succeeded none": 36,
		}
		if diff := cmp.Diff(want, w.counted(t, "dropgate_logins_total")); diff != "" {
			t.Errorf("sign-ins (-want +got):\n%s", diff)
		}
		want = map[string]float64{"backchannel_logout": 32, "displaced": 2, "logout": 1, "replaced": 1}
		if diff := cmp.Diff(want, w.counted(t, "dropgate_sessions_ended_total")); diff != "" {
			t.Errorf("ended sessions (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]float64{"": 36}, w.counted(t, "dropgate_sessions_started_total")); diff != "" {
			t.Errorf("started sessions (-want +got):\n%s", diff)
		}
	})
}

func TestSessionEndReasonsAreExportedFromStart(t *testing.T) {
	got := slices.Sorted(maps.Keys(newOIDCHarness().series(t, "dropgate_sessions_ended_total")))
	if !slices.Equal(got, []string{"backchannel_logout", "displaced", "logout", "logout_everywhere", "operator", "replaced"}) {
		t.Errorf("%q", got)
	}
}

// Label values come from a closed set, which exists from the start.
func TestMetricLabelsNeverHoldRequestValues(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcHarness) {
		before := w.series(t, "dropgate_logins_total")
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
		for labels := range w.series(t, "dropgate_logins_total") {
			if _, known := before[labels]; !known {
				t.Errorf("a request added the series %q", labels)
			}
		}
	})
}

// Each code of a failed sign-in in this package has its series from the start.
func TestFailedSignInsAreExportedFromStart(t *testing.T) {
	series := newOIDCHarness().series(t, "dropgate_logins_total")
	codes := 0
	for _, file := range must(filepath.Glob("*.go")) {
		for _, found := range regexp.MustCompile(`&ProtocolError\{"([a-z_]+)"`).FindAllStringSubmatch(string(must(os.ReadFile(file))), -1) {
			if strings.HasPrefix(found[1], "logout_token") { // of a logout
				continue
			}
			codes++
			if _, exported := series["failed "+found[1]]; !exported {
				t.Errorf("%s: no series for %s", file, found[1])
			}
		}
	}
	if codes < 10 {
		t.Errorf("the sources have %d codes", codes)
	}
}
