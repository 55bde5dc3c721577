package app_test

import (
	"net/http"
	"strings"
	"testing"
)

// spellings maps what people type to what a browser sends (the WHATWG URL
// standard). An empty value is not an origin.
func spellings() map[string]string {
	return map[string]string{
		"https://app.example.com":                             "https://app.example.com",
		"https://app.example.com:8443":                        "https://app.example.com:8443",
		"https://app.example.com.":                            "https://app.example.com.",
		"https://app.example.com.:8443":                       "https://app.example.com.:8443",
		"http://localhost:3000":                               "http://localhost:3000",
		"https://a_b.example":                                 "https://a_b.example",
		"https://-a-.example":                                 "https://-a-.example",
		"https://a--b.example":                                "https://a--b.example",
		"https://xn--bcher-kva.example":                       "https://xn--bcher-kva.example",
		"https://10.0.0.1":                                    "https://10.0.0.1",
		"https://[::1]:8443":                                  "https://[::1]:8443",
		"https://[2001:db8::1]":                               "https://[2001:db8::1]",
		"capacitor://localhost":                               "capacitor://localhost",
		"ionic://localhost":                                   "ionic://localhost",
		"tauri://localhost":                                   "tauri://localhost",
		"http://tauri.localhost":                              "http://tauri.localhost",
		"https://tauri.localhost":                             "https://tauri.localhost",
		"app://dropgate":                                      "app://dropgate",
		"chrome-extension://abcdefghijklmnopabcdefghijklmnop": "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
		// Written otherwise.
		"https://app.example.com:443":       "https://app.example.com",
		"https://app.example.com:0443":      "https://app.example.com",
		"https://app.example.com:08443":     "https://app.example.com:8443",
		"https://app.example.com:":          "https://app.example.com",
		"http://app.example.com:80":         "http://app.example.com",
		"http://app.example.com:443":        "http://app.example.com:443",
		"https://app.example.com:80":        "https://app.example.com:80",
		"HTTPS://APP.example.com":           "https://app.example.com",
		"https:app.example.com":             "https://app.example.com",
		"https:/app.example.com":            "https://app.example.com",
		`https:\\app.example.com`:           "https://app.example.com",
		"https:///app.example.com":          "https://app.example.com",
		"app.example.com":                   "https://app.example.com",
		"https://app.example.com/":          "https://app.example.com",
		"https://app.example.com/path":      "https://app.example.com",
		"https://app.example.com?a=b":       "https://app.example.com",
		"https://app.example.com#a":         "https://app.example.com",
		"https://user@app.example.com":      "https://app.example.com",
		"https://user:pass@app.example.com": "https://app.example.com",
		"https://bücher.example":            "https://xn--bcher-kva.example",
		"https://BÜCHER.example:443":        "https://xn--bcher-kva.example",
		"https://b%C3%BCcher.example":       "https://xn--bcher-kva.example",
		"https://bu\u0308cher.example":      "https://xn--bcher-kva.example", // not NFC
		"https://faß.example":               "https://xn--fa-hia.example",
		"https://例え.テスト":                    "https://xn--r8jz45g.xn--zckzah",
		"https://app。example。com":           "https://app.example.com", // ideographic full stops
		"https://ａｐｐ.example":               "https://app.example",     // full width
		"https://app%2Eexample.com":         "https://app.example.com",
		"https://127.1":                     "https://127.0.0.1",
		"https://0x7f.1":                    "https://127.0.0.1",
		"https://0X7F000001":                "https://127.0.0.1",
		"https://2130706433":                "https://127.0.0.1",
		"https://0177.0.0.1":                "https://127.0.0.1",
		"https://127.0.0.1.":                "https://127.0.0.1",
		"https://010.0.0.1":                 "https://8.0.0.1",
		"https://１２７.0.0.1":                 "https://127.0.0.1",
		"https://[::0001]":                  "https://[::1]",
		"https://[0:0:0:0:0:0:0:1]:443":     "https://[::1]",
		"https://[2001:DB8::1]":             "https://[2001:db8::1]",
		"https://[2001:db8:0:0:1:0:0:1]":    "https://[2001:db8::1:0:0:1]",
		"https://[::ffff:127.0.0.1]":        "https://[::ffff:7f00:1]",
		"Capacitor://LOCALHOST/":            "capacitor://localhost",
		// Not an origin, whatever is written.
		"null": "", "*": "", "https://*": "", "https://*.example.com": "", "https://app.*.com": "", "https://": "", "https://:8443": "", "://": "",
		"https://app..example.com": "", "https://.example.com": "", "https://app.example.com..": "", "https://app example.com": "",
		"https://app.example.com:65536": "", "https://app.example.com:-1": "", "https://app.example.com:+443": "", "https://app.example.com:http": "",
		"https://[::1": "", "https://::1": "", "https://[fe80::1%25eth0]": "", "https://[fe80::1%eth0]": "", "https://[1.2.3.4]": "", "https://[v1.x]": "",
		"https://256.0.0.1": "", "https://1.2.3.4.5": "", "https://app.1": "", "https://0x": "https://0.0.0.0", "https://1.2.3.08": "",
		"https://app%": "", "https://app%zz": "", "https://app%00.example": "", "https://a<b.example": "", "https://a^b.example": "", "https://a|b.example": "",
		"https://xn--a.example": "", "https://xn--zzzzzz--.example": "", "https://" + strings.Repeat("a", 64) + ".example": "",
		"https://" + strings.Repeat("a.", 130) + "example": "",
		"ftp://app.example.com":                            "", "ws://app.example.com": "", "file:///a": "", "file://": "", "data:text/html": "", "blob:https://app.example.com": "",
		"htttps://app.example.com": "", "javascript:alert(1)": "", "about:blank": "", "capacitor://": "",
		"https://user:pa/ss@app.example.com": "",
	}
}

func TestOriginsMustBeSpelledAsByBrowsers(t *testing.T) {
	for written, sent := range spellings() {
		faults := faultsOf(t, map[string]string{"ALLOWED_ORIGINS": written})
		switch {
		case written == sent:
			if faults != nil {
				t.Errorf("%s: %q", written, faults)
			}
		case len(faults) != 1 || !strings.HasPrefix(faults[0], "ALLOWED_ORIGINS: "):
			t.Errorf("%s: %q", written, faults)
		case sent != "" && !strings.HasSuffix(faults[0], ": write "+sent):
			t.Errorf("%s: %q, want %s", written, faults, sent)
		case sent == "" && strings.Contains(faults[0], ": write "):
			t.Errorf("%s: %q, and no browser sends that", written, faults)
		}
	}
}

func TestPublicURLMustBeSpelledAsByBrowsers(t *testing.T) {
	for written, sent := range spellings() {
		faults := faultsOf(t, oidc(map[string]string{"PUBLIC_URL": written}))
		if written == sent && (strings.HasPrefix(sent, "https://") || strings.HasPrefix(sent, "http://localhost")) {
			if faults != nil {
				t.Errorf("%s: %q", written, faults)
			}
			continue
		}
		if len(faults) != 1 || !strings.HasPrefix(faults[0], "PUBLIC_URL: ") || written != sent && sent != "" && !strings.Contains(faults[0], "write "+sent) {
			t.Errorf("%s: %q", written, faults)
		}
	}
}

func TestApplicationPagesAreOnKnownOrigins(t *testing.T) {
	for _, name := range []string{"APP_URL", "SIGN_IN_ERROR_URL"} {
		for written, good := range map[string]bool{
			"/": true, "/shop/start": true, "https://app.example.com/shop": true, "https://www.example.com": true, "https://www.example.com/shop": true,
			"https://evil.example/": false, "http://app.example.com/": false, "http://www.example.com/shop": false, "shop": false, "//evil.example": false,
			"https://www.example.com@evil.example/": false, "javascript:alert(1)": false, "https://APP.example.com/": false, "/a/../b": false,
		} {
			faults := faultsOf(t, oidc(map[string]string{"PUBLIC_URL": "https://app.example.com", "ALLOWED_ORIGINS": "https://www.example.com", name: written}))
			if good != (faults == nil) || !good && !strings.HasPrefix(faults[0], name+": ") {
				t.Errorf("%s=%s: %q", name, written, faults)
			}
		}
	}
	for _, round := range []string{"/dropgate/auth/login", "https://app.example.com/dropgate/auth/callback", "/page?a=b", "/page#a"} {
		faults := faultsOf(t, oidc(map[string]string{"PUBLIC_URL": "https://app.example.com", "BASE_PATH": "/dropgate", "SIGN_IN_ERROR_URL": round}))
		if len(faults) != 1 || !strings.HasPrefix(faults[0], "SIGN_IN_ERROR_URL: ") {
			t.Errorf("%s: %q", round, faults)
		}
	}
}

func TestPartitionedCookiesNeedSameSiteNoneAndHTTPS(t *testing.T) {
	for _, row := range []struct {
		sameSite, publicURL string
		good                bool
	}{
		{"none", "https://app.example.com", true},
		{"strict", "https://app.example.com", false},
		{"lax", "https://app.example.com", false},
		{"none", "http://localhost:8080", false},
	} {
		faults := faultsOf(t, oidc(map[string]string{"SESSION_PARTITIONED": "true", "SESSION_SAMESITE": row.sameSite, "PUBLIC_URL": row.publicURL}))
		if row.good != (faults == nil) || !row.good && !strings.HasPrefix(faults[0], "SESSION_") {
			t.Errorf("%s at %s: %q", row.sameSite, row.publicURL, faults)
		}
	}
}

func TestAppShellsCanBeAllowedInProduction(t *testing.T) {
	for origin, good := range map[string]bool{
		"capacitor://localhost": true, "ionic://localhost": true, "tauri://localhost": true, "http://tauri.localhost": true, "https://localhost": true,
		"http://localhost": false, "http://localhost:3000": false, "http://tauri.localhost:3000": false, "http://a.example": false, "http://tauri.localhost.example": false,
	} {
		if faults := faultsOf(t, production(map[string]string{"ALLOWED_ORIGINS": origin})); (faults == nil) != good {
			t.Errorf("%s: %q", origin, faults)
		}
	}
}

// TestAllowedOriginsMatchWhatBrowsersSend: CORS answers each origin that the
// setting accepts.
func TestAllowedOriginsMatchWhatBrowsersSend(t *testing.T) {
	w := newFixture(t)
	var good []string
	for written, sent := range spellings() {
		if written == sent {
			good = append(good, written)
		}
	}
	s := w.start(t, map[string]string{"ALLOWED_ORIGINS": strings.Join(good, ", ")})
	for _, origin := range append(good, "null", "https://other.example", "capacitor://other") {
		answer := s.preflight(t, origin)
		if want := origin; strings.Contains(origin, "other") || origin == "null" {
			if answer.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s is allowed", origin)
			}
		} else if got := answer.header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: %q", origin, got)
		}
	}
}

// preflight asks as a page of origin does before it posts.
func (s *service) preflight(t *testing.T, origin string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, "http://"+s.PublicAddr()+"/client-tokens", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"}}
	return do(t, r)
}

// A page of each allowed origin may post, too: the check of cross-site requests
// takes the same texts.
func TestAllowedOriginsMayPost(t *testing.T) {
	w := newFixture(t)
	s := w.start(t, map[string]string{"ALLOWED_ORIGINS": "capacitor://localhost,https://xn--bcher-kva.example,https://app.example.com."})
	token, err := w.provider.TokenFor("alice")
	if err != nil {
		t.Fatal(err)
	}
	for origin, want := range map[string]int{
		"capacitor://localhost": http.StatusOK, "https://xn--bcher-kva.example": http.StatusOK, "https://app.example.com.": http.StatusOK,
		"https://app.example.com": http.StatusForbidden, "ionic://localhost": http.StatusForbidden,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/client-tokens", strings.NewReader(`{"action":"customer.read"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Origin": {origin}, "Sec-Fetch-Site": {"cross-site"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
		if got := do(t, r); got.status != want {
			t.Errorf("%s: %d %s", origin, got.status, got.body)
		}
	}
}
