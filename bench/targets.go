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

// newProxy is the first thing to compare with: a reverse proxy that replaces
// the caller's credentials by the application's, and looks at nothing.
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

// bareHandler is the other one: what a competent person writes by hand to get a
// token from Dwolla into a page, and nothing else. It authenticates nobody,
// checks nothing, writes no log line and counts nothing. With sessions it looks
// into them for who has a cookie, in the plainest way there is.
type bareHandler struct {
	url, authorization string
	client             *http.Client
	sessions           *redis.Client // nil: it looks for none
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
	_ = json.NewEncoder(w).Encode(given) // a caller who has gone is no error
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

// keepAlive returns a transport that keeps a connection for every caller, as
// the server's own does; the default one would close all but two.
func keepAlive() *http.Transport {
	return &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
}

// allocations answers in the words of the Go collector of the server's own
// metrics, so that one reader reads both.
func allocations(w http.ResponseWriter, _ *http.Request) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	_, _ = fmt.Fprintf(w, "%s %d\n", mallocsMetric, stats.Mallocs)
}

// mallocsMetric counts all allocations of a process.
const mallocsMetric = "go_memstats_mallocs_total"
