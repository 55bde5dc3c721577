package auth_test

import (
	"fmt"
	"net/http"
	"strings"

	"dropgate/internal/auth/session"
)

// hostileRequest must be refused by every mode.
type hostileRequest struct {
	name   string
	header http.Header
	peer   string
}

// hostileRequests returns all of them. sid is alice's session id, and login a
// login cookie.
func hostileRequests(sid string, login *http.Cookie) []hostileRequest {
	const own, plainOwn = "__Host-dropgate-session", "dropgate-session"
	requests := []hostileRequest{
		{"no headers", nil, stranger},
		{"empty headers", http.Header{"Authorization": {""}, "Cookie": {""}, "X-Forwarded-User": {""}}, stranger},
		{"headers without values", http.Header{"Authorization": {}, "Cookie": nil}, stranger},
	}
	add := func(name string, header http.Header) {
		// Without the secret, the proxy's address must not suffice.
		requests = append(requests, hostileRequest{name, header, stranger}, hostileRequest{name + ", from the proxy", header, proxyPeer})
	}
	for name, value := range map[string]string{
		"none": "", "one character": "a", "garbage": "garbage", "quotes": `"garbage"`, "an open quote": `"gar`, "a comma": "a,b", "a space": "a b",
		"non-ASCII": "alicé", "no UTF-8": "\xff\xfe", "NUL": "a\x00b", "only NUL": "\x00", "a line break": "a\r\nX-Forwarded-User: alice",
		"a line feed": "a\nCookie: " + own + "=" + sid, "8 KiB": strings.Repeat("a", 8<<10), "8 KiB of A": strings.Repeat("A", 8<<10), "1 MiB": strings.Repeat("a", 1<<20),
		"percent": "%00%0d%0a", "a path": "../../etc/passwd", "SQL": "' OR 1=1 --", "JSON": `{"sub":"alice"}`, "dots": "..", "semicolons": ";;;",
		"an unknown session": session.NewID().Reveal(), "a cut session": sid[:42], "a long session": sid + "A", "a padded session": sid + "=",
		"a session in lower case": strings.ToLower(sid), "a session twice": sid + sid, "a session and a comma": sid + "," + sid,
		"zeros": strings.Repeat("A", 43), "the user": "alice", "another's unsigned token": encoded(`{"alg":"none"}`) + "." + encoded(`{"sub":"alice"}`) + ".",
		"a forged token": forged("rsa"), "an expired token": tokenWith(object{"exp": midnight.Unix() - 61}), "a token for another": tokenWith(object{"aud": "another"}),
		"a token of another": tokenWith(object{"iss": "https://evil.example.com"}), "a token of no user": tokenWith(object{"sub": ""}), "an ID token": idTokenOf(object{"nonce": "n"}),
		"a logout token": logoutToken(nil), "a token with a control character": tokenWith(object{"sub": "alice\x00"}), "a login cookie": login.Value,
	} {
		add(name+" as bearer", http.Header{"Authorization": {"Bearer " + value}})
		add(name+" as Basic", http.Header{"Authorization": {"Basic " + value}})
		add(name+" as Authorization", http.Header{"Authorization": {value}})
		for _, cookie := range []string{own, plainOwn, cookie, "sid", "__Host-dropgate-login-aaaaaaaa", ""} {
			add(name+" in cookie "+cookie, inSession(cookie+"="+value))
		}
		add(name+" as user", http.Header{"X-Forwarded-User": {value}})
		add(name+" as the proxy's secret", http.Header{"X-Forwarded-User": {"alice"}, "X-Proxy-Secret": {value}})
		add(name+" everywhere", http.Header{
			"Authorization": {"Bearer " + value}, "Cookie": {own + "=" + value + "; " + cookie + "=" + value}, "X-Forwarded-User": {value}, "X-Proxy-Secret": {value},
		})
	}
	// Good credentials in the wrong place, doubled, or renamed.
	for name, header := range map[string]http.Header{
		"a session as bearer":           bearer(sid),
		"a session as Basic":            {"Authorization": {"Basic " + sid}},
		"a session as Authorization":    {"Authorization": {sid}},
		"a session as a cookie header":  {"Authorization": {own + "=" + sid}},
		"a session in the plain cookie": inSession(plainOwn + "=" + sid),
		"a session in the login cookie": inSession(login.Name + "=" + sid),
		"a login in the session cookie": inSession(own + "=" + login.Value),
		"a session in bearer's cookie":  inCookie(sid),
		"a session as user":             {"X-Forwarded-User": {sid}},
		"a session in another case":     inSession(strings.ToLower(own) + "=" + sid),
		"a session without a name":      inSession("=" + sid),
		// Browsers keep these spaces in names, and some servers strip them.
		"a session behind U+2000":        inSession("\u2000" + own + "=" + sid),
		"a session behind U+0085":        inSession("\u0085" + own + "=" + sid),
		"a session before U+00A0":        inSession(own + "\u00a0=" + sid),
		"a session behind a comma":       inSession("$Version=1,other=a," + own + "=" + sid),
		"a session in Cookie2":           {"Cookie2": {own + "=" + sid}},
		"a session in Set-Cookie":        {"Set-Cookie": {own + "=" + sid}},
		"a session in a lower-case key":  {"cookie": {own + "=" + sid}},
		"a token in a lower-case key":    {"authorization": {"Bearer " + goodToken()}},
		"a user in a lower-case key":     {"x-forwarded-user": {"alice"}, "x-proxy-secret": {proxySecret}},
		"a session twice":                inSession(own + "=" + sid + "; " + own + "=" + sid),
		"a session in two headers":       {"Cookie": {own + "=" + sid, own + "=" + sid}},
		"a session and garbage":          inSession(own + "=" + sid + "; " + own + "=garbage"),
		"garbage and a session":          inSession(own + "=garbage; " + own + "=" + sid),
		"a token twice":                  {"Authorization": {"Bearer " + goodToken(), "Bearer " + goodToken()}},
		"tokens in bearer's cookies":     inSession(cookie + "=" + goodToken() + "; " + cookie + "=" + tokenWith(object{"jti": "2"})),
		"a token in the session cookie":  inSession(own + "=" + goodToken()),
		"a token in the application's":   inSession("sid=" + goodToken()),
		"a token as Basic":               {"Authorization": {"Basic " + goodToken()}},
		"a token as user":                {"X-Forwarded-User": {goodToken()}},
		"a token as the proxy's secret":  {"X-Forwarded-User": {"alice"}, "X-Proxy-Secret": {goodToken()}},
		"a token as Proxy-Authorization": {"Proxy-Authorization": {"Bearer " + goodToken()}},
		"the proxy's secret as bearer":   bearer(proxySecret),
		"the proxy's secret as session":  inSession(own + "=" + proxySecret),
		"the secret twice":               {"X-Forwarded-User": {"alice"}, "X-Proxy-Secret": {proxySecret, proxySecret}},
		"two users":                      {"X-Forwarded-User": {"alice", "bob"}, "X-Proxy-Secret": {proxySecret}},
		"an application's cookie cut":    inSession(appSession[:len(appSession)-1]),
		"an application's cookie twice":  inSession(appSession + "; " + appSession),
		"an application's as bearer":     bearer(appSession),
		"an application's as session":    inSession(own + "=" + appSession),
		"other headers of proxies":       {"Remote-User": {"alice"}, "X-Auth-Request-User": {"alice"}, "X-Forwarded-Email": {"alice"}, "X-User": {"alice"}},
		"half of everything": {
			"Authorization": {"Bearer " + goodToken()[:200]}, "Cookie": {own + "=" + sid[:20] + "; " + appSession[:20]}, "X-Forwarded-User": {"alice"},
		},
	} {
		add(name, header)
	}
	for i := range 64 {
		add(fmt.Sprint("many cookies ", i), inSession(strings.Repeat(own+"=a; ", i)+own+"=b"))
	}
	return append(
		requests,
		hostileRequest{"the proxy's headers of a stranger", proxied(nil), stranger},
		hostileRequest{"the proxy's headers of nobody", proxied(nil), "@"},
		hostileRequest{"the proxy's headers and a claim of its address", proxied(http.Header{"X-Forwarded-For": {"10.20.30.64"}}), stranger},
	)
}
