package main

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
)

// attackerPath is where the other site has its page.
const attackerPath = "/attacker"

// strangerOf returns the origin of another site on the port of an origin: browsers
// take localhost and 127.0.0.1 for different sites.
func strangerOf(public string) string {
	at, err := url.Parse(public)
	if err != nil {
		return ""
	}
	return "http://" + net.JoinHostPort("localhost", at.Port())
}

// strangersPages answers for the other site. It has one page, which attacks the
// service with a form. Its front page leads people who type localhost to the demo.
func (f *front) strangersPages(files embed.FS) (http.Handler, error) {
	parsed, err := template.ParseFS(files, "attacker.html")
	if err != nil {
		return nil, fmt.Errorf("the attacker's page: %w", err)
	}
	var page bytes.Buffer
	if err := parsed.Execute(&page, map[string]string{"Service": f.public + basePath, "Demo": f.public + "/"}); err != nil {
		return nil, fmt.Errorf("the attacker's page: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+attackerPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; frame-ancestors 'none'; form-action "+f.public)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page.Bytes())
	})
	mux.HandleFunc("GET /demo/{file}", serveAsset(files))
	mux.Handle("GET /{$}", http.RedirectHandler(f.public+"/", http.StatusSeeOther))
	mux.HandleFunc("/", serveNothing)
	return mux, nil
}
