package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"time"

	"dropgate/cmd/sandbox/web"
)

// basePath is where the front has the service.
const basePath = "/dropgate"

// The stand-in for Dwolla's library, and its style sheet.
const (
	libraryPath       = "/dwolla-web.js"
	libraryStylesPath = "/demo/dwolla.css"
)

// maxDemoBody bounds a page's request to the demo, in bytes.
const maxDemoBody = 4 << 10

// front answers a browser: the demo page and its API, the stand-in for Dwolla's
// library, and the service behind a reverse proxy.
type front struct {
	public    string // its own origin
	service   string // host:port of the service
	issuer    string // of the demo provider
	apiRoot   string // of Dwolla's API, for the library
	linkRoot  string // of the links in requests for a token; empty: apiRoot
	dwollaWeb string // URL of Dwolla's library; empty: the stand-in
	demo      *demo
}

// handler returns the routes. The service is below its path whatever the host, as
// it is behind any load balancer.
func (f *front) handler() (http.Handler, error) {
	files := web.Page()
	page, err := f.page(files)
	if err != nil {
		return nil, err
	}
	stranger, err := f.strangersPages(files)
	if err != nil {
		return nil, err
	}
	own := http.NewServeMux()
	own.HandleFunc("GET /{$}", f.servePage(page))
	own.HandleFunc("GET /demo/{file}", serveAsset(files))
	own.HandleFunc("GET "+libraryStylesPath, serveLibraryStyles)
	own.HandleFunc("GET /demo/sign-in", f.serveSignIn)
	own.HandleFunc("/", serveNothing)
	f.demo.register(own)
	guarded := f.guard(http.MaxBytesHandler(own, maxDemoBody))
	service := f.proxy()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, basePath+"/"):
			service.ServeHTTP(w, r)
		case r.URL.Path == libraryPath:
			// Pages of other origins load the library, as they load Dwolla's. It holds no data.
			f.serveLibrary(w, r)
		case "http://"+r.Host == strangerOf(f.public):
			stranger.ServeHTTP(w, r)
		default:
			guarded.ServeHTTP(w, r)
		}
	}), nil
}

// proxy forwards requests to the service, as a load balancer would.
func (f *front) proxy() http.Handler {
	service := &url.URL{Scheme: "http", Host: f.service}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(service)
			r.Out.Host = r.In.Host
			r.SetXForwarded()
			r.Out.Header.Del("X-Request-Id") // the service believes this proxy
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, DisableCompression: true},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			refuse(w, http.StatusBadGateway, "UpstreamError", "dropgate does not answer.")
		},
	}
}

// guard answers only for the front's own host name, since any other may be a DNS
// name that an attacker points at this machine, and only its own pages: the demo
// shows data of all demo users.
func (f *front) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		switch {
		case "http://"+r.Host != f.public:
			refuse(w, http.StatusMisdirectedRequest, "MisdirectedRequest", "The demo is at "+f.public+"/ only.")
		case !f.ownPage(r):
			refuse(w, http.StatusForbidden, "CrossOriginRequest", "Only pages of "+f.public+" may ask for this.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ownPage reports whether a page of the front made the request, or a person, or a
// program other than a browser. Everyone may link to the page itself.
func (f *front) ownPage(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != f.public {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return true
	}
	return r.Method == http.MethodGet && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// page renders the demo page once: nothing in it depends on the request.
func (f *front) page(files fs.FS) ([]byte, error) {
	parsed, err := template.ParseFS(files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("the demo page: %w", err)
	}
	var out bytes.Buffer
	head := integration(f.libraryURL(), libraryStylesPath)
	err = parsed.Execute(&out, map[string]any{
		"Head": template.HTML(head), "HeadCode": head, //nolint:gosec // the operator chose the URL in it
		"Tabs": tabs(), "Personas": f.demo.roster.list(), "Faults": f.demo.faults.choices(),
		"Inside": f.demo.inside(), "LinkRoot": cmp.Or(f.linkRoot, f.apiRoot), "Emulated": f.apiRoot != sandboxAPI,
		"APIRoot": f.apiRoot, "Stranger": strangerOf(f.public) + attackerPath, "StandIn": f.dwollaWeb == "",
	})
	if err != nil {
		return nil, fmt.Errorf("the demo page: %w", err)
	}
	return out.Bytes(), nil
}

func (f *front) libraryURL() string {
	if f.dwollaWeb != "" {
		return f.dwollaWeb
	}
	return libraryPath
}

// contentPolicy allows the page its own files, the library, Dwolla's API and the
// way to the provider and back.
func (f *front) contentPolicy() string {
	script := "'self'"
	if at, err := url.Parse(f.dwollaWeb); err == nil && f.dwollaWeb != "" {
		script += " " + at.Scheme + "://" + at.Host
	}
	return strings.Join([]string{
		"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'",
		"script-src " + script,
		"style-src 'self'",
		"img-src 'self'",
		"connect-src 'self' " + f.apiRoot,
		"form-action 'self' " + f.issuer,
	}, "; ")
}

func (f *front) servePage(page []byte) http.HandlerFunc {
	policy := f.contentPolicy()
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}
}

// serveLibrary serves the stand-in, with a first line that says where Dwolla's API
// is.
func (f *front) serveLibrary(w http.ResponseWriter, _ *http.Request) {
	about := map[string]any{"root": f.apiRoot, "linksOnly": false}
	if f.linkRoot != "" {
		about["links"] = f.linkRoot
	}
	settings, _ := json.Marshal(about) // never fails
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", scriptType)
	_, _ = fmt.Fprintf(w, "globalThis.dwollaStandIn=%s;\n%s", settings, web.Library())
}

const (
	scriptType = "text/javascript; charset=utf-8"
	styleType  = "text/css; charset=utf-8"
)

// serveLibraryStyles serves the style sheet of the stand-in's elements.
func serveLibraryStyles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", styleType)
	_, _ = w.Write(web.LibraryStyles())
}

// serveAsset serves the page's scripts and style sheets.
func serveAsset(files fs.FS) http.HandlerFunc {
	kinds := map[string]string{".css": styleType, ".js": scriptType, ".svg": "image/svg+xml"}
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("file")
		kind, known := kinds[path.Ext(name)]
		content, err := fs.ReadFile(files, name)
		if err != nil || !known {
			serveNothing(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content) //nolint:gosec // an embedded file
	}
}

// serveSignIn signs the browser in as a demo user, in one step, and brings it back
// to a tab of the page.
func (f *front) serveSignIn(w http.ResponseWriter, r *http.Request) {
	page := "/"
	if tab := r.FormValue("tab"); tab != "" {
		page += "?" + url.Values{"tab": {tab}}.Encode()
	}
	http.Redirect(w, r, signInURL(f.issuer, f.public+basePath, r.FormValue("user"), page), http.StatusSeeOther)
}

// signInURL signs a browser in at the provider, then at the service, and ends at
// the page returnTo.
func signInURL(issuer, service, user, returnTo string) string {
	then := service + "/auth/login?" + url.Values{"return_to": {returnTo}}.Encode()
	return issuer + "/login-as?" + url.Values{"user": {user}, "then": {then}}.Encode()
}

func serveNothing(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusNotFound, "NotFound", "There is nothing here.")
}

// refuse writes an error of the demo in the shape of dropgate's own.
func refuse(w http.ResponseWriter, status int, code, message string) {
	respond(w, status, map[string]string{"code": code, "message": message})
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the browser has gone away
}
