package auth_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

// No request is under way any more when the logout takes effect.
func TestLateLogoutIsReportedWithItsSender(t *testing.T) {
	withOIDC(t, func(t *testing.T, w *oidcWorld) {
		var causes []clienttoken.Cause
		var ends []auth.Ended
		w.oidc = w.replica(prometheus.NewRegistry(), func(c *auth.OIDCConfig) {
			c.Ended = func(ctx context.Context, e auth.Ended) error {
				causes, ends = append(causes, clienttoken.CauseOf(ctx)), append(ends, e)
				return nil
			}
		})
		go w.oidc.Run(t.Context())
		b := w.browser(t)
		b.signIn()
		w.store.breakDown("end")
		_, err := w.oidc.BackChannelLogout(t.Context(), elsewhere, logoutToken(nil))
		checkFailure(t, err)
		w.store.breakDown()
		pass(5 * time.Second)
		b.is(refused)
		if !slices.Equal(causes, []clienttoken.Cause{{Mode: "oidc", ClientIP: elsewhere}}) ||
			!slices.Equal(ends, []auth.Ended{{UserID: "alice", Why: "backchannel_logout"}}) {
			t.Errorf("%+v by %+v", ends, causes)
		}
	})
}
