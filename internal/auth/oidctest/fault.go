package oidctest

import (
	"net/http"
	"net/http/httptest"
	"sync"
)

// fault takes the place of the provider's answers. The zero value does nothing.
type fault struct {
	mu     sync.Mutex
	status int           // answers every request; zero: no answer is forced
	healed chan struct{} // requests hang until it is closed; nil: none hang
}

func (f *fault) set(status int, healed chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.healed != nil {
		close(f.healed)
	}
	f.status, f.healed = status, healed
}

// strike reports whether it has answered the request, or given it up.
func (f *fault) strike(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	status, healed := f.status, f.healed
	f.mu.Unlock()
	if healed != nil {
		select {
		case <-r.Context().Done():
			return true
		case <-healed:
		}
	}
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
	}
	return status != 0
}

// Fail makes the provider answer every request with a status, until Heal.
func (p *Provider) Fail(status int) { p.fault.set(status, nil) }

// Hang makes the provider hold every request until Heal, or until the client
// gives up.
func (p *Provider) Hang() { p.fault.set(0, make(chan struct{})) }

// Heal ends the fault. Requests that hang are answered.
func (p *Provider) Heal() { p.fault.set(0, nil) }

// Direct returns a transport that calls a handler without a network.
func Direct(h http.Handler) http.RoundTripper { return direct{h} }

type direct struct{ http.Handler }

// RoundTrip calls the handler.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err //nolint:wrapcheck // as http.Transport does
	}
	resp := w.Result()
	resp.Request = r
	return resp, nil
}
