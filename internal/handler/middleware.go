package handler

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/rs/cors"

	"dropgate/internal/auth"
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
		AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
			return slices.Contains(h.AllowedOrigins, origin) && h.mayRequest(r.Header["Access-Control-Request-Headers"]), nil
		},
		AllowedMethods:   []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut},
		AllowedHeaders:   []string{"*"}, // less those that mayRequest refuses
		ExposedHeaders:   []string{"RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"},
		AllowCredentials: true,
		MaxAge:           600, // seconds
	}).Handler
}

// maxRequested is how many headers of its own a page may want to send. The list is
// repeated in the answer.
const maxRequested = 64

// mayRequest reports whether a page may send the headers that a preflight lists:
// all that are not trusted here. Tracers add headers of their own to each request.
func (h *handler) mayRequest(lists []string) bool {
	count := 0
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.Trim(name, " \t")
			if count++; count > maxRequested || name != "" && (!isToken(name) || h.isTrusted(name)) {
				return false
			}
		}
	}
	return true
}

// isTrusted reports whether a header of that name says who somebody is, or where
// a request comes from: proxies write it, and none of them has to remove it when
// a page sends it.
func (h *handler) isTrusted(name string) bool {
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

// isToken reports whether s can be the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// sameOrigin refuses what a page of another origin caused, unless that origin
// is allowed: by Fetch Metadata, else by Origin. Every route with credentials has
// it, also for safe methods: another page would use up the user's allowance. It
// lets pass what has neither header, since that is no browser's;
// [handler.fromKnownOrigin] is for credentials that only browsers send.
func (h *handler) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.crossOrigin(r); err != nil {
			h.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ownOrPage is sameOrigin for routes that people follow links to. A page of another
// origin may lead its reader there, and not cause requests in the background, which
// would use up the allowance of the reader's address.
func (h *handler) ownOrPage(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dest := r.Header.Get("Sec-Fetch-Dest")
		if err := h.crossOrigin(r); err != nil && dest != "" && dest != "document" {
			h.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin is the refusal of a request from a page of another origin.
func (h *handler) crossOrigin(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions: // which the library lets pass
		r = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
	}
	if err := h.protection.Check(r); err != nil {
		return &problem{code: crossOriginRequest, reason: err.Error()}
	}
	return nil
}

// fromKnownOrigin refuses an unsafe request with credentials that the browser
// sends by itself, when no header says where the request comes from: then
// nobody can tell whether another site caused it.
func (h *handler) fromKnownOrigin(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "" {
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
