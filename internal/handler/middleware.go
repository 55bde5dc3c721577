package handler

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"

	"github.com/rs/cors"
)

// securityHeaders tells browsers to do nothing with an answer but hand it to
// the page that asked. Strict-Transport-Security is left to whoever ends TLS:
// it speaks for a whole host.
func securityHeaders(next http.Handler) http.Handler {
	always := http.Header{
		"Cache-Control":                {"no-store"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Referrer-Policy":              {"no-referrer"},
		"X-Content-Type-Options":       {"nosniff"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), always)
		next.ServeHTTP(w, r)
	})
}

// cors lets pages of the allowed origins read answers, errors included, and
// send credentials. Without such origins there is nothing to say.
func (h *handler) cors() func(http.Handler) http.Handler {
	if len(h.AllowedOrigins) == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	return cors.New(cors.Options{
		// Its own list knows wildcards and does not know letter case.
		AllowOriginFunc:  func(origin string) bool { return slices.Contains(h.AllowedOrigins, origin) },
		AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodPut},
		AllowedHeaders:   []string{"Accept", "Authorization", "Content-Type", "X-Requested-With"},
		ExposedHeaders:   []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"},
		AllowCredentials: true,
		MaxAge:           600, // seconds
	}).Handler
}

// sameOrigin refuses what a page of another origin caused, unless that origin
// is allowed: by Fetch Metadata, else by Origin. Every route for an unsafe
// method has it. It lets pass what has neither header, since that is no
// browser's; [handler.fromKnownOrigin] is for credentials that only browsers
// send.
func (h *handler) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.protection.Check(r); err != nil {
			h.fail(w, r, &problem{code: crossOriginRequest, reason: err.Error()})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromKnownOrigin refuses an unsafe request with credentials that the browser
// sends by itself, when no header says where the request comes from: then
// nobody can tell whether another site caused it.
func (h *handler) fromKnownOrigin(r *http.Request) error {
	if r.Method != http.MethodGet && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
		return &problem{code: crossOriginRequest, reason: "a cookie without Origin and Sec-Fetch-Site"}
	}
	return nil
}

// limited takes from the limit of the request's address, before anything is done
// for it. Routes that look at credentials, or answer with pages, do so by
// themselves. Those that servers call and sign have no limit: a provider logs many
// users out from one address, and none of its notices may be lost.
func (h *handler) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := recordOf(r).charge.Pay(r.Context(), ""); err != nil {
			h.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recovered answers a request whose handler panicked.
func (h *handler) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				rec := recordOf(r)
				rec.code, rec.reason = string(serverError), "the connection was cut on purpose"
				panic(p) // the way to do so
			}
			h.Logger.Error().
				Str("request_id", recordOf(r).requestID).
				Str("panic", fmt.Sprint(p)). // Sprint masks secrets, reflection into JSON may not
				Bytes("stack", debug.Stack()).
				Msg("a request ended in a panic")
			h.fail(w, r, errPanicked)
		}()
		next.ServeHTTP(w, r)
	})
}
