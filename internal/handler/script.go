package handler

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"time"
)

// moduleExports turns the script into an ES module. A module has no script element,
// so it takes the service's address from its own.
const moduleExports = `
dropgate.base ||= new URL(".", import.meta.url).href;
export const { configure, token, session, keepAlive, signIn, signOut, link, on, version } = dropgate;
export default dropgate;
`

// script is GET /dropgate.js.
func (h *handler) script() http.HandlerFunc {
	return publicFile("text/javascript; charset=utf-8", h.Script)
}

// scriptModule is GET /dropgate.mjs.
func (h *handler) scriptModule() http.HandlerFunc {
	return publicFile("text/javascript; charset=utf-8", slices.Concat(h.Script, []byte(moduleExports)))
}

// scriptTypes is GET /dropgate.d.ts.
func (h *handler) scriptTypes() http.HandlerFunc {
	return publicFile("text/plain; charset=utf-8", h.ScriptTypes)
}

// publicFile serves a file to pages of every origin: it is the same for
// everybody, so they learn nothing from it. No rate limit counts these requests,
// or a foreign page could use up the limit of its reader's address.
func publicFile(contentType string, content []byte) http.HandlerFunc {
	hash := sha256.Sum256(content)
	etag := `"` + hex.EncodeToString(hash[:16]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for _, ofAllowedOrigins := range []string{"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Vary"} {
			header.Del(ofAllowedOrigins)
		}
		header.Set("Access-Control-Allow-Origin", "*")
		header.Set("Cache-Control", "no-cache") // a browser keeps the file, but asks each time whether it has changed
		header.Set("Content-Type", contentType)
		header.Set("Cross-Origin-Resource-Policy", "cross-origin")
		header.Set("Etag", etag)
		// Without Range, every response is a whole file or 304.
		whole := &http.Request{Method: r.Method, Header: http.Header{"If-None-Match": r.Header["If-None-Match"]}}
		http.ServeContent(w, whole, "", time.Time{}, bytes.NewReader(content))
	}
}
