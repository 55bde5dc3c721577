package auth

import "github.com/prometheus/client_golang/prometheus"

type oidcMetrics struct {
	logins  *prometheus.CounterVec // outcome, reason
	started prometheus.Counter
	ended   *prometheus.CounterVec // reason
}

// loginReasons lists the reasons of failed sign-ins.
func loginReasons() []string {
	return []string{
		"access_denied", "callback_malformed", "canceled", "code_refused", "exchange_failed", "exchange_refused", "id_token_invalid",
		"id_token_missing", "issuer_mismatch", "logged_out", "nonce_mismatch", "provider_refused", "return_to", "state_expired",
		"state_unknown", "state_used", "unavailable", "user_unknown",
	}
}

func newOIDCMetrics(r prometheus.Registerer) oidcMetrics {
	m := oidcMetrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_logins_total",
			Help: "Sign-ins with OpenID Connect by outcome (succeeded or failed) and reason (none, or the code on the error page).",
		}, []string{"outcome", "reason"}),
		started: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dropgate_sessions_started_total",
			Help: "Sessions started by a sign-in.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dropgate_sessions_ended_total",
			Help: "Sessions ended by reason: logout, logout_everywhere, backchannel_logout, operator, replaced (by another sign-in in the same browser) or displaced (by newer sign-ins of a user with too many sessions). Expired sessions are not counted.",
		}, []string{"reason"}),
	}
	m.logins.WithLabelValues("succeeded", "none")
	for _, reason := range loginReasons() {
		m.logins.WithLabelValues("failed", reason)
	}
	for _, reason := range []string{"logout", "logout_everywhere", "backchannel_logout", "operator", "replaced", "displaced"} {
		m.ended.WithLabelValues(reason)
	}
	r.MustRegister(m.logins, m.started, m.ended)
	return m
}
