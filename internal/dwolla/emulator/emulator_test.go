package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

func TestEveryCallNeedsVersionMediaTypeAndToken(t *testing.T) {
	d := start(t)
	token := d.accessToken()
	const body = `{"action":"customer.create"}`
	tests := map[string]struct {
		change func(http.Header)
		status int
		code   string // "": a success
	}{
		"the usual":                {func(http.Header) {}, 200, ""},
		"Accept among others":      {func(h http.Header) { h.Set("Accept", "text/html, "+hal+";q=0.9") }, 200, ""},
		"hal Content-Type":         {func(h http.Header) { h.Set("Content-Type", hal) }, 200, ""},
		"Content-Type parameter":   {func(h http.Header) { h.Set("Content-Type", "Application/JSON; charset=utf-8") }, 200, ""},
		"bearer in lower case":     {func(h http.Header) { h.Set("Authorization", "bearer "+token) }, 200, ""},
		"no Accept":                {func(h http.Header) { h.Del("Accept") }, 406, "InvalidVersion"},
		"Accept anything":          {func(h http.Header) { h.Set("Accept", "*/*") }, 406, "InvalidVersion"},
		"Accept JSON":              {func(h http.Header) { h.Set("Accept", "application/json") }, 406, "InvalidVersion"},
		"another version":          {func(h http.Header) { h.Set("Accept", "application/vnd.dwolla.v2.hal+json") }, 406, "InvalidVersion"},
		"no Content-Type":          {func(h http.Header) { h.Del("Content-Type") }, 415, "UnsupportedMediaType"},
		"form":                     {func(h http.Header) { h.Set("Content-Type", form) }, 415, "UnsupportedMediaType"},
		"no token":                 {func(h http.Header) { h.Del("Authorization") }, 401, "InvalidAccessToken"},
		"empty token":              {func(h http.Header) { h.Set("Authorization", "Bearer ") }, 401, "InvalidAccessToken"},
		"token nobody handed out":  {func(h http.Header) { h.Set("Authorization", "Bearer x") }, 401, "InvalidAccessToken"},
		"token in another scheme":  {func(h http.Header) { h.Set("Authorization", "Basic "+token) }, 401, "InvalidAccessToken"},
		"the application's secret": {func(h http.Header) { h.Set("Authorization", "Bearer "+secret) }, 401, "InvalidAccessToken"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := d.request(token, http.MethodPost, "/client-tokens", body)
			test.change(r.Header)
			got := d.send(r)
			if test.code != "" {
				got.wantProblem(t, test.status, test.code)
			} else if got.status != test.status {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestPathsAndMethods(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	tests := []struct {
		method, path string
		status       int
		code, allow  string
	}{
		{"GET", "/", 404, "NotFound", ""},
		{"GET", "/customers/", 404, "NotFound", ""},
		{"GET", "/customers/" + id + "/", 404, "NotFound", ""},
		{"GET", "/customers/" + id + "/transfers", 404, "NotFound", ""},
		{"GET", "/customers/" + unknown, 404, "NotFound", ""},
		{"POST", "/customers/" + unknown, 404, "NotFound", ""},
		{"GET", "/customers/" + unknown + "/beneficial-owners", 404, "NotFound", ""},
		{"GET", "/beneficial-owners/" + unknown, 404, "NotFound", ""},
		{"GET", "/beneficial-owners/x/y", 404, "NotFound", ""},
		{"GET", "/client-tokens", 405, "MethodNotAllowed", "POST"},
		{"GET", "/token", 405, "MethodNotAllowed", "POST"},
		{"OPTIONS", "/token", 405, "MethodNotAllowed", "POST"},
		{"DELETE", "/customers/" + id, 405, "MethodNotAllowed", "GET, POST"},
		{"PUT", "/beneficial-owners/x", 405, "MethodNotAllowed", "DELETE, GET, POST"},
	}
	token := d.accessToken()
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			got := d.call(token, test.method, test.path, `{}`)
			got.wantProblem(t, test.status, test.code)
			if allow := got.header.Get("Allow"); allow != test.allow {
				t.Errorf("Allow %q, want %q", allow, test.allow)
			}
		})
	}
}

func TestBodiesAreCappedAtOneMiB(t *testing.T) {
	d := start(t)
	token := d.accessToken()
	body := `{"action":"customer.create","pad":"` + strings.Repeat("a", 1<<20)
	fits := body[:1<<20-2] + `"}`
	if got := d.call(token, http.MethodPost, "/client-tokens", fits); got.status != http.StatusOK {
		t.Errorf("1 MiB: status %d: %s", got.status, got.body)
	}
	d.call(token, http.MethodPost, "/client-tokens", body[:1<<20-1]+`"}`).
		wantProblem(t, http.StatusRequestEntityTooLarge, "PayloadTooLarge")
}

func TestEveryResponseHasAFreshRequestID(t *testing.T) {
	d := start(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/client-tokens", "/customers/" + unknown, "/token"} {
		for range 2 {
			id := d.call("x", http.MethodPost, path, "{}").header.Get("X-Request-Id")
			if len(id) != 36 || seen[id] {
				t.Errorf("%s: X-Request-Id %q", path, id)
			}
			seen[id] = true
		}
	}
}

func TestCORSExcludesTheTokenEndpoint(t *testing.T) {
	d := start(t)
	for _, path := range []string{"/customers/" + unknown, "/client-tokens", "/nowhere", "/nowhere/x/y", "/"} {
		r := d.request("", http.MethodOptions, path, "")
		r.Header.Del("Authorization")
		r.Header.Set("Origin", "https://shop.example")
		r.Header.Set("Access-Control-Request-Method", "DELETE")
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		got := d.send(r)
		if got.status != http.StatusNoContent || len(got.body) != 0 ||
			got.header.Get("Access-Control-Allow-Origin") != "*" ||
			got.header.Get("Access-Control-Allow-Methods") != "GET, POST, PUT, PATCH, DELETE" ||
			got.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" {
			t.Errorf("preflight of %s: %d %v", path, got.status, got.header)
		}
	}
	for _, path := range []string{"/nowhere", "/customers", "/customers/" + unknown} {
		got := d.call("x", http.MethodPost, path, "{}")
		if got.header.Get("Access-Control-Allow-Origin") != "*" ||
			got.header.Get("Access-Control-Expose-Headers") != "Location, X-Request-Id" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
	if got := d.send(d.tokenRequest()).header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("/token allows origin %q", got)
	}
}

func TestCallsCountsRefusedRequestsToo(t *testing.T) {
	d := start(t)
	token := d.accessToken()
	d.call("wrong", http.MethodGet, "/customers/"+unknown, "")
	d.call(token, http.MethodGet, "/customers/"+unknown, "")
	d.call(token, http.MethodDelete, "/customers/"+unknown, "")
	d.call(token, http.MethodOptions, "/customers/"+unknown, "")
	if token, read := d.Calls(emulator.OpToken), d.Calls(emulator.OpReadCustomer); token != 1 || read != 2 {
		t.Errorf("token %d, read_customer %d; want 1, 2", token, read)
	}
}
