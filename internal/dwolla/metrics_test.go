package dwolla_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/dwolla/emulator"
)

// samples are the series of a metric by the values of their labels, in the
// order of the labels' names: "200 create_client_token". Of a histogram it is
// the number of observations.
func samples(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := ""
			for i, label := range m.GetLabel() {
				if i > 0 {
					labels += " "
				}
				labels += label.GetValue()
			}
			got[labels] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

// wantSamples compares the samples other than zero.
func (w *world) wantSamples(t *testing.T, name string, want map[string]float64) {
	t.Helper()
	got := samples(t, w.registry, name)
	maps.DeleteFunc(got, func(_ string, v float64) bool { return v == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}

func TestRequestsAreCountedByOperationAndOutcome(t *testing.T) {
	w := start(t)
	customer := w.customer(t, emulator.Customer{})
	w.mustVend(t)
	w.ExpireAccessTokens()
	w.mustVend(t)
	for _, f := range []emulator.Fault{
		{Status: 400},
		{Status: 503}, // twice, as it is tried again
		{Status: 302, Redirect: "/"},
		{Status: 599},
		{Status: 999},
		{CutBefore: true},  // twice
		{CutMidBody: true}, // twice
		{HugeBody: 2 << 20},
		{Status: 429}, // the last one, as it opens the circuit
	} {
		w.InjectFault(emulator.OpCreateClientToken, f)
		_, _ = w.vend(t.Context()) // a fault, which is counted below
	}
	if _, err := w.client.GetCustomer(t.Context(), customer); err != nil {
		t.Error(err)
	}
	if _, err := w.client.ListBeneficialOwners(t.Context(), customer); err != nil {
		t.Error(err)
	}
	if _, err := w.client.GetCustomer(t.Context(), w.customerURL(t, someCustomer)); err == nil {
		t.Error("no error")
	}
	w.wantSamples(t, "dropgate_dwolla_requests_total", map[string]float64{
		"200 token":                  2,
		"200 create_client_token":    2,
		"302 create_client_token":    1,
		"400 create_client_token":    1,
		"401 create_client_token":    1,
		"429 create_client_token":    1,
		"503 create_client_token":    2,
		"other create_client_token":  2,
		"error create_client_token":  5,
		"200 get_customer":           1,
		"404 get_customer":           1,
		"200 list_beneficial_owners": 1,
	})
	w.wantSamples(t, "dropgate_dwolla_request_duration_seconds", map[string]float64{
		"token": 2, "create_client_token": 15, "get_customer": 2, "list_beneficial_owners": 1,
	})
}

func TestRequestsThatWereGivenUpAreCounted(t *testing.T) {
	arrived := make(chan struct{}, 2)
	w := startWith(t, setup{api: hangs(arrived)})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := w.vend(ctx); err == nil {
		t.Error("no error")
	}
	ctx, cancel = context.WithTimeout(t.Context(), impatience)
	defer cancel()
	if _, err := w.vend(ctx); err == nil {
		t.Error("no error")
	}
	w.wantSamples(t, "dropgate_dwolla_requests_total", map[string]float64{
		"200 token": 1, "canceled create_client_token": 1, "timeout create_client_token": 1,
	})
	w.wantSamples(t, "dropgate_dwolla_request_duration_seconds", map[string]float64{"token": 1, "create_client_token": 2})
}

func TestRequestsForAnAccessTokenAreCounted(t *testing.T) {
	for name, f := range map[string]emulator.Fault{
		"401":              {Status: http.StatusUnauthorized},
		"500":              {Status: http.StatusInternalServerError},
		"error: cut":       {CutBefore: true},
		"error: no token":  {Body: "{}"},
		"error: a refusal": {Body: `{"error":"invalid_client"}`}, // in a 200
		"timeout":          {Latency: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			label, _, _ := strings.Cut(name, ":")
			w := startWith(t, setup{timeout: timeoutFor(f)})
			w.InjectFault(emulator.OpToken, f)
			if _, err := w.vend(t.Context()); err == nil {
				t.Error("no error")
			}
			w.wantSamples(t, "dropgate_dwolla_requests_total", map[string]float64{label + " token": 1})
		})
	}
}

func TestTheGaugeTellsWhenTheAccessTokenExpires(t *testing.T) {
	const name = "dropgate_dwolla_access_token_expiry_timestamp_seconds"
	w := start(t)
	w.wantSamples(t, name, nil)
	begin := time.Now()
	w.mustVend(t)
	end := time.Now()
	const life = 3599 // seconds, as the emulator and Dwolla say
	if got := samples(t, w.registry, name)[""]; got < float64(begin.Unix()+life-1) || got > float64(end.Unix()+life) {
		t.Errorf("the access token expires %v after it was asked for", time.Unix(int64(got), 0).Sub(begin))
	}
}
