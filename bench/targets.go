package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"

	"github.com/redis/go-redis/v9"
)

// halJSON is the only media type that Dwolla's API accepts in Accept.
const halJSON = "application/vnd.dwolla.v1.hal+json"

// newProxy is the simplest target: a reverse proxy. It replaces the caller's
// credentials with the application's, without any check.
func newProxy(dwolla, accessToken string) (http.Handler, error) {
	upstream, err := url.Parse(dwolla)
	if err != nil {
		return nil, fmt.Errorf("the emulator's URL: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: keepAlive(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Header.Set("Authorization", "Bearer "+accessToken)
		},
	}
	mux := http.NewServeMux()
	mux.Handle("POST /client-tokens", proxy)
	mux.HandleFunc("GET /metrics", allocations)
	return mux, nil
}

// bareHandler is a minimal handwritten endpoint: it gets a token from Dwolla and
// returns it. It has no authentication, checks, logs or metrics. With sessions it looks
// the cookie up in Redis in the plainest way.
type bareHandler struct {
	url, authorization string
	client             *http.Client
	sessions           *redis.Client // nil: without sessions
}

func newHandler(dwolla, accessToken string, sessions *redis.Client) http.Handler {
	h := &bareHandler{
		url:           dwolla + "/client-tokens",
		authorization: "Bearer " + accessToken,
		client:        &http.Client{Transport: keepAlive()},
		sessions:      sessions,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /client-tokens", h.clientTokens)
	mux.HandleFunc("GET /metrics", allocations)
	return mux
}

type bareRequest struct {
	Action string              `json:"action"`
	Links  map[string]bareLink `json:"_links,omitempty"`
}

type bareLink struct {
	Href string `json:"href"`
}

type bareResponse struct {
	Token string `json:"token"`
}

func (h *bareHandler) clientTokens(w http.ResponseWriter, r *http.Request) {
	if !h.signedIn(r) {
		http.Error(w, "sign in", http.StatusUnauthorized)
		return
	}
	var asked bareRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&asked); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	given, err := h.post(r, asked)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(given) // a canceled caller is not an error
}

func (h *bareHandler) signedIn(r *http.Request) bool {
	if h.sessions == nil {
		return true
	}
	cookie, err := r.Cookie(sessionCookie)
	return err == nil && h.sessions.Get(r.Context(), bareSession(cookie.Value)).Err() == nil
}

func (h *bareHandler) post(r *http.Request, asked bareRequest) (bareResponse, error) {
	var given bareResponse
	body, err := json.Marshal(asked)
	if err != nil {
		return given, fmt.Errorf("writing the request: %w", err)
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return given, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Accept", halJSON)
	req.Header.Set("Authorization", h.authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return given, fmt.Errorf("asking Dwolla: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return given, fmt.Errorf("Dwolla answered %d", resp.StatusCode) //nolint:staticcheck // a name
	}
	if err := json.NewDecoder(resp.Body).Decode(&given); err != nil {
		return given, fmt.Errorf("reading the answer: %w", err)
	}
	return given, nil
}

// keepAlive returns a transport with an idle connection per caller, like the server's
// own. The default transport keeps only two.
func keepAlive() *http.Transport {
	return &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
}

// allocations answers like the Go collector in the server's own metrics, so that one
// reader reads both.
func allocations(w http.ResponseWriter, _ *http.Request) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	_, _ = fmt.Fprintf(w, "%s %d\n", mallocsMetric, stats.Mallocs)
}

// mallocsMetric counts all allocations of a process.
const mallocsMetric = "go_memstats_mallocs_total"
