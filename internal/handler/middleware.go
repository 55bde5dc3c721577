package handler

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/rs/cors"

	"dropgate/internal/auth"
)

// securityHeaders allows browsers only to hand a response to the requesting page.
// It leaves Strict-Transport-Security to the TLS proxy, because that header applies
// to the whole host.
func securityHeaders(next http.Handler) http.Handler {
	always := []struct {
		name  string
		value []string
	}{
		{"Cache-Control", []string{"no-store"}},
		{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
		{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
		{"Referrer-Policy", []string{"no-referrer"}},
		{"X-Content-Type-Options", []string{"nosniff"}},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for i := range always {
			header[always[i].name] = always[i].value
		}
		next.ServeHTTP(w, r)
	})
}

// cors lets pages of the allowed origins send credentials and read responses,
// including errors.
func (h *handler) cors() func(http.Handler) http.Handler {
	if len(h.AllowedOrigins) == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	return cors.New(cors.Options{
		// The library's own list supports wildcards and ignores letter case.
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			return slices.Contains(h.AllowedOrigins, origin) && h.allowsRequestHeaders(r.Header["Access-Control-Request-Headers"]), nil
		},
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut},
		AllowedHeaders:   []string{"*"}, // except those that allowsRequestHeaders refuses
		ExposedHeaders:   []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"},
		AllowCredentials: true,
		MaxAge:           600, // seconds
	}).Handler
}

// maxRequestHeaders limits the header list of a preflight, because the response
// repeats it.
const maxRequestHeaders = 64

// allowsRequestHeaders reports whether a page may send the headers that a preflight
// lists: all except trusted ones. Tracing libraries add headers to every request.
func (h *handler) allowsRequestHeaders(lists []string) bool {
	count := 0
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.Trim(name, " \t")
			if count++; count > maxRequestHeaders || name != "" && (!isToken(name) || h.isTrustedHeader(name)) {
				return false
			}
		}
	}
	return true
}

// isTrustedHeader reports whether the header names the user or the origin of a
// request. Proxies write such headers, but may not remove those that a page sends.
func (h *handler) isTrustedHeader(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-original-") ||
		strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "proxy-") || name == strings.ToLower(h.ProxyHeader) {
		return true
	}
	switch name {
	case "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-ip", "via", "x-request-id", "host", "origin", "cookie",
		"connection", "transfer-encoding", "content-length", "te", "trailer", "upgrade", "expect", strings.ToLower(auth.ProxySecretHeader):
		return true
	}
	return false
}

// isToken reports whether s is a valid header name (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// sameOrigin refuses requests from pages of other origins that are not allowed. It
// checks Fetch Metadata, or else Origin. Safe methods are checked too, because a
// foreign page could use up the user's rate limit.
//
// A request without these headers passes, because browsers send them.
// [handler.requireOrigin] is stricter, for credentials that only browsers send.
func (h *handler) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.checkOrigin(r); err != nil {
			h.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOriginOrNavigation is sameOrigin for routes that people follow links to. A page
// of another origin may link to the route, but must not request it in the
// background, which would use up the rate limit of the reader's address.
func (h *handler) sameOriginOrNavigation(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dest := r.Header.Get("Sec-Fetch-Dest")
		if err := h.checkOrigin(r); err != nil && dest != "" && dest != "document" {
			h.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOriginOrReturn is sameOriginOrNavigation for the way back from the provider. In
// an embedded application it ends in a frame.
func (h *handler) sameOriginOrReturn(next http.Handler) http.Handler {
	checked := h.sameOriginOrNavigation(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Embedded && r.Header.Get("Sec-Fetch-Dest") == "iframe" {
			next.ServeHTTP(w, r)
			return
		}
		checked.ServeHTTP(w, r)
	})
}

// checkOrigin fails for a request from a page of another origin that is not allowed.
func (h *handler) checkOrigin(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions: // the library accepts these
		r = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
	}
	if err := h.protection.Check(r); err != nil {
		return &problem{code: crossOriginRequest, reason: err.Error()}
	}
	return nil
}

// requireOrigin refuses an unsafe request with a cookie if no header names its
// origin. Browsers add cookies by themselves, so another site may have caused it.
func (h *handler) requireOrigin(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !auth.NamesOrigin(r) {
		return &problem{code: crossOriginRequest, reason: "a cookie without Origin or Sec-Fetch-Site"}
	}
	return nil
}

// chargeAddress charges the rate limit of the request's address. Routes that check
// credentials or respond with pages do so themselves. Webhooks and back-channel
// logouts have no such limit: one server sends many of them, and losing one is a
// fault.
func (h *handler) chargeAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := requestLogOf(r).charge.Pay(r.Context(), ""); err != nil {
			h.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// recoverPanic responds to a request whose handler panicked.
func (h *handler) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				log := requestLogOf(r)
				log.code, log.reason = string(serverError), "the handler aborted the connection"
				panic(p) // net/http closes the connection
			}
			h.Logger.Error().
				Str("request_id", requestLogOf(r).requestID).
				Str("panic", fmt.Sprint(p)). // Sprint masks secrets; JSON by reflection may not
				Bytes("stack", debug.Stack()).
				Msg("a request panicked")
			h.fail(w, r, errPanicked)
		}()
		next.ServeHTTP(w, r)
	})
}
