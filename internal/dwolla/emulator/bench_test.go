package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// direct calls an emulator without a listener, for tests with many requests.
type direct struct {
	*emulator.Emulator

	vending *http.Request
}

func newDirect(tb testing.TB) direct {
	tb.Helper()
	d := direct{Emulator: emulator.New(emulator.Options{ClientID: "key", ClientSecret: "secret"})}
	d.vending = httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/client-tokens", http.NoBody)
	d.vending.Header = http.Header{"Accept": {hal}, "Content-Type": {hal}, "Authorization": {"Bearer " + d.accessToken(tb)}}
	return d
}

func (d direct) accessToken(tb testing.TB) string {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/token", strings.NewReader(grant))
	r.SetBasicAuth("key", "secret")
	r.Header.Set("Content-Type", form)
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.AccessToken == "" {
		tb.Fatalf("no access token in %s", w.Body)
	}
	return answer.AccessToken
}

func (d direct) vend() *httptest.ResponseRecorder {
	r := *d.vending
	r.Body = io.NopCloser(strings.NewReader(vendCreate))
	w := httptest.NewRecorder()
	d.ServeHTTP(w, &r)
	return w
}

func BenchmarkVend(b *testing.B) {
	d := newDirect(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if w := d.vend(); w.Code != http.StatusOK {
				b.Errorf("status %d: %s", w.Code, w.Body)
			}
		}
	})
}

func TestOldestAccessTokenIsForgotten(t *testing.T) {
	d := newDirect(t)
	status := func(token string) int {
		d.vending.Header.Set("Authorization", "Bearer "+token)
		return d.vend().Code
	}
	tokens := make([]string, 1001)
	for i := range tokens {
		tokens[i] = d.accessToken(t)
	}
	if first, second, last := status(tokens[0]), status(tokens[1]), status(tokens[1000]); first != 401 || second != 200 || last != 200 {
		t.Errorf("first %d, second %d, last %d", first, second, last)
	}
}

func TestTheOldestClientTokenIsForgottenFirst(t *testing.T) {
	d := newDirect(t)
	const limit, more = 100_000, 2
	for range more {
		d.vend()
	}
	third := d.vend().Body.String()
	for range limit - 2 {
		d.vend()
	}
	last := d.vend().Body.String()
	remembered := d.ClientTokens()
	if len(remembered) != limit ||
		!strings.Contains(third, remembered[0].Token) || !strings.Contains(last, remembered[limit-1].Token) {
		t.Errorf("%d remembered, or not the youngest in order", len(remembered))
	}
}
