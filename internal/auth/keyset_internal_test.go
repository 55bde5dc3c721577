package auth

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// This holds even without the check of each key's algorithms.
func TestAcceptedAlgorithmsAreAsymmetric(t *testing.T) {
	for _, algorithm := range algorithms() {
		if name := string(algorithm); !strings.HasPrefix(name, "RS") && !strings.HasPrefix(name, "PS") && !strings.HasPrefix(name, "ES") && !strings.HasPrefix(name, "Ed") {
			t.Errorf("%s is accepted", name)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const (
	oneKey = `{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	twoKey = `{"kty":"OKP","crv":"Ed25519","kid":"2","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// Otherwise every token would be verified again.
func TestUnchangedKeysKeepTheirGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var fetches int
		body, log := oneKey, &bytes.Buffer{}
		set := NewKeySet(KeySetConfig{
			URL: "https://id.example.com/keys",
			Transport: transport(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				fetches++
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"keys":[` + body + `]}`))}, nil
			}),
			Logger:     zerolog.New(log),
			Registerer: prometheus.NewRegistry(),
		})
		go set.Run(t.Context())
		synctest.Wait()
		first := set.current.Load()
		<-time.After(refreshInterval + time.Duration(fromAnyone))
		synctest.Wait()
		mu.Lock()
		if fetches < 2 {
			t.Errorf("%d fetches", fetches)
		}
		body = twoKey
		mu.Unlock()
		if set.current.Load() != first {
			t.Error("the same keys are another set after a fetch")
		}
		<-time.After(refreshInterval)
		synctest.Wait()
		if set.current.Load() == first {
			t.Error("another kid is the same set")
		}
		if lines := strings.Count(log.String(), `"level":"info"`); lines != 2 {
			t.Errorf("%d log lines about new keys, want 2:\n%s", lines, log)
		}
	})
}
