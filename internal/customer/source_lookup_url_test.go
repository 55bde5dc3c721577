package customer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// contextEnding returns a context canceled after d.
func contextEnding(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(d, cancel)
	return ctx, func() { timer.Stop(); cancel() }
}

func TestNewLookupRefusesFaultyURLs(t *testing.T) {
	for _, raw := range []string{
		"", "{user}", "https://app.internal", "https://app.internal/users", "https://app.internal/{User}", "https://app.internal/%7Buser%7D",
		"https://app.internal/{user}/{user}", "https://app.internal/{user}?u={user}", "https://app.internal/{user}#{user}",
		"/users/{user}", "//app.internal/{user}", "app.internal/{user}", "app.internal:80/{user}", "ftp://app.internal/{user}", "file:///{user}", "https:{user}", "https:///{user}", "https://?u={user}", "https://:443/{user}",
		"https://{user}", "https://{user}/", "https://{user}.app.internal/", "https://app.internal{user}/", "https://app.internal:{user}/", "https://app.internal:80{user}", "https://{user}@app.internal/", "https://a:{user}@app.internal/", "{user}://app.internal/", "https://app.internal#{user}", "https://app.internal/#{user}", "https://app.internal/?a#{user}",
		"https://ann@app.internal/{user}", "https://ann:hunter2@app.internal/{user}", "https://@app.internal/{user}",
		"https://app.internal/{user}#", "https://app.internal/{user}#top", "https://app.internal#/{user}",
		"https://app.internal/%{user}", "https://app.internal/%2{user}", "https://app.internal/?u=%{user}", "https://app.internal/?u=%2{user}", "https://app.internal/%zz/{user}",
		"https://app.internal/{tenant}/{user}", "https://app.internal/a b/{user}", "https://app.internal/{user}/a b", "https://app.internal/?u={user}&a b", "https://app.internal/|/{user}", "https://app.internal/é/{user}", "https://app.internal/\\{user}", "https://app.internal/{user}\n", " https://app.internal/{user}", "https://app.internal/{user}^", "https://app.internal/?u={user}&v={v}",
		"https://app.internal:port/{user}", "https://[::1/{user}",
	} {
		_, err := customer.NewLookup(customer.LookupConfig{API: sandbox(t), URL: raw})
		if err == nil {
			t.Errorf("%q was accepted", raw)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "app.internal") {
			t.Errorf("%q is quoted: %v", raw, err)
		}
	}
}

func TestLookupURLTakesPathOrQuery(t *testing.T) {
	const all = "a/b c+d&e=f;g?h#i%2Fj:k@l|m\"n\\o'p.q~é🦆"
	const escaped = "a%2Fb%20c%2Bd%26e%3Df%3Bg%3Fh%23i%252Fj%3Ak%40l%7Cm%22n%5Co%27p.q~%C3%A9%F0%9F%A6%86"
	for _, c := range [][3]string{ // the URL, the user, the requested URL
		{"https://app.internal/{user}", "ann", "https://app.internal/ann"},
		{"http://app.internal:8080/users/{user}/dwolla-customer", "ann@example.com", "http://app.internal:8080/users/ann%40example.com/dwolla-customer"},
		{"https://app.internal/u-{user}.json?v=2", "ann", "https://app.internal/u-ann.json?v=2"},
		{"https://app.internal/users/{user}", all, "https://app.internal/users/" + escaped},
		{"https://app.internal/a%2Fb/{user}/%41;x=1,(y)", all, "https://app.internal/a%2Fb/" + escaped + "/%41;x=1,(y)"},
		{"https://app.internal/?u={user}", all, "https://app.internal/?u=" + escaped},
		{"https://app.internal?u={user}", "ann", "https://app.internal?u=ann"},
		{"https://app.internal/find?a=b&u={user}&c=d+e", all, "https://app.internal/find?a=b&u=" + escaped + "&c=d+e"},
		{"https://app.internal/?{user}", "..", "https://app.internal/?.."},
		{"https://app.internal/?u={user}", "/", "https://app.internal/?u=%2F"},
		{"https://[::1]:1/{user}", "...", "https://[::1]:1/..."},
		{"https://app.internal/{user}", ".a", "https://app.internal/.a"},
		{"https://app.internal/x{user}", ".", "https://app.internal/x."},
		{"https://app.internal/x{user}y", "/", "https://app.internal/x%2Fy"},
		{"https://app.internal/{user}", "%2e%2e", "https://app.internal/%252e%252e"},
		{"https://app.internal/{user}", strings.Repeat("é", 255), "https://app.internal/" + strings.Repeat("%C3%A9", 255)},
	} {
		app := annsApplication()
		wantVerdict(t, newLookup(t, app, func(l *customer.LookupConfig) { l.URL = c[0] }), c[1], customerA)
		if app.calls() != 1 || app.asked[0].URL.String() != c[2] || app.asked[0].Host != app.asked[0].URL.Host {
			t.Errorf("%s: asked %v, want %s", c[0], app.asked, c[2])
		}
	}
}

// A proxy may decode and clean a path, and so turn it into another user's.
func TestLookupRefusesIDsThatChangeThePath(t *testing.T) {
	for _, c := range [][2]string{
		{"/{user}", "."},
		{"/{user}", ".."},
		{"/{user}/x", "."},
		{"/{user}/x", ".."},
		{"/{user}?a=b", ".."},
		{"/{user}?a=b", "."},
		{"/.{user}", "."},
		{"/{user}.", "."},
		{"/%2E{user}", "."},
		{"/{user}%2e", "."},
		{"/a%2F{user}", ".."},
		{"/{user}%2Fa", ".."},
		{"/.{user}", "/a"},
		{"/{user}", "../bob"},
		{"/{user}", "bob/.."},
		{"/{user}", "x/../bob"},
		{"/{user}", "x/./bob"},
		{"/{user}", `x\..\bob`},
		{"/{user}", `..\bob`},
		{"/{user}", "/bob"},
		{"/{user}/x", "bob/"},
		{"/{user}", `\bob`},
		{"/{user}", "/"},
		{"/{user}", "a//b"},
		{"/x{user}", "/../bob"},
		{"/{user}", ""},
		{"/?u={user}", ""},
		{"/{user}", "a\nb"},
		{"/{user}", "a\x00"},
		{"/{user}", "\xff"},
		{"/{user}", strings.Repeat("x", 256)},
	} {
		app := annsApplication()
		lookup := newLookup(t, app, func(l *customer.LookupConfig) { l.URL = "https://app.internal" + c[0] })
		wantVerdict(t, lookup, c[1], outage)
		wantCalls(t, app, 0)
	}
}

// FuzzLookupURL checks that for every user id the request goes to the configured host,
// path and query, and a server reads exactly that id.
func FuzzLookupURL(f *testing.F) {
	for _, id := range []string{
		"ann", ".", "..", "/", "//", "a/b", "../bob", "%2e%2e", "%2f", "%", "%%", "?", "?u=bob", "&u=bob", ";u=bob", "#", "#a", "@evil.example", ":80", "\\", "\\\\evil.example", "a b", "+", "a=b",
		"ann@example.com", "auth0|5f7c", "é", "🦆", "\u2028", "\r\nHost: evil.example", "\x00", "{user}", "[::1]", "", strings.Repeat("x", 255), strings.Repeat("é", 255),
	} {
		f.Add(id)
	}
	app := &recorder{requests: make(chan *http.Request, 1)}
	server := httptest.NewServer(app)
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, id string) {
		for _, at := range []string{"/users/{user}/customer?a=b", "/users/{user}", "/find?a=b&u={user}&c=d"} {
			lookup := newLookup(t, nil, func(c *customer.LookupConfig) { c.URL = server.URL + at })
			found, err := lookup.Customer(t.Context(), clienttoken.User{ID: id})
			switch got := verdict(t, found, err); got {
			case none:
				wantAskedFor(t, server.URL+at, id, <-app.requests)
			case outage:
				if len(app.requests) > 0 || clienttoken.ValidUserID(id) && (strings.Contains(at, "u=") || !strings.ContainsAny(id, `./\`)) {
					t.Errorf("user %q cannot be asked for at %s", id, at)
				}
			default:
				t.Fatal(got)
			}
		}
	})
}

// recorder records requests and answers "none".
type recorder struct{ requests chan *http.Request }

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.requests <- req
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
}

// wantAskedFor checks that a server reads the user id in the request, and nothing else
// has changed.
func wantAskedFor(t *testing.T, at, id string, r *http.Request) {
	t.Helper()
	before, after, _ := strings.Cut(at, "{user}")
	user, whole := strings.CutPrefix("http://"+r.Host+r.RequestURI, before)
	user, end := strings.CutSuffix(user, after)
	if !whole || !end || strings.ContainsAny(user, `/\?#&;=+: @`) {
		t.Errorf("user %q became %s of %s", id, r.RequestURI, r.Host)
	}
	// A path segment and a query value must decode to the same id.
	bySegment, errPath := url.PathUnescape(user)
	byValue, errQuery := url.QueryUnescape(user)
	if errPath != nil || errQuery != nil || bySegment != id || byValue != id {
		t.Errorf("user %q is read as %q or %q", id, bySegment, byValue)
	}
	wantRead(t, strings.TrimPrefix(at, "http://"+r.Host), id, r.URL)
}

// wantRead checks what a Go server reads.
func wantRead(t *testing.T, at, id string, got *url.URL) {
	t.Helper()
	wantPath, wantQuery, _ := strings.Cut(at, "?")
	if wantPath = strings.ReplaceAll(wantPath, "{user}", id); got.Path != wantPath {
		t.Errorf("path %q, want %q", got.Path, wantPath)
	}
	values, err := url.ParseQuery(got.RawQuery)
	if err != nil {
		t.Error(err)
	}
	if strings.Contains(wantQuery, "{user}") {
		if len(values) != 3 || len(values["u"]) != 1 || values.Get("u") != id || values.Get("a") != "b" || values.Get("c") != "d" {
			t.Errorf("query %q for user %q", got.RawQuery, id)
		}
	} else if got.RawQuery != wantQuery {
		t.Errorf("query %q, want %q", got.RawQuery, wantQuery)
	}
}

// FuzzLookupAnswer checks that no answer causes a panic, a Customer it does not name,
// or "none" without JSON.
func FuzzLookupAnswer(f *testing.F) {
	whole := `{"customer":"` + customerA + `"}`
	for _, status := range []int{200, 404, 201, 204, 302, 401, 403, 410, 500, 100, 0, -1} {
		f.Add(status, whole, "application/json")
	}
	for _, body := range []string{
		"", "null", "{}", "[]", `{"customer":null}`, `{"customer":""}`, `{"customer":7}`, `{"Customer":"` + customerA + `"}`,
		`{"customer":"` + customerA + `","customer":"` + customerB + `"}`, `{"c\u0075stomer":"` + customerA + `"}`, whole + "{}", whole + " ",
		`{"customer":"https://api-sandbox.dwolla.com/customers/` + customerB + `"}`, `{"customer":"https://evil.example/customers/` + customerB + `"}`,
		whole + strings.Repeat(" ", lookupLimit-len(whole)), whole + strings.Repeat(" ", lookupLimit+1-len(whole)), strings.Repeat("[", 11_000),
	} {
		f.Add(http.StatusOK, body, "application/json")
		f.Add(http.StatusNotFound, body, "application/json; charset=utf-8")
		f.Add(http.StatusNotFound, body, "text/html")
		f.Add(http.StatusOK, body, "text/html")
	}
	f.Fuzz(func(t *testing.T, status int, body, contentType string) {
		lookup := newLookup(t, &application{answer: typed(status, body, contentType)})
		got, err := lookup.Customer(t.Context(), clienttoken.User{ID: "ann"})
		switch said := verdict(t, got, err); {
		case said == outage:
		case said == none:
			ofStatus := status == http.StatusNotFound && (strings.TrimSpace(body) == "" || jsontext.Value(body).IsValid()) ||
				status == http.StatusOK && jsontext.Value(body).IsValid()
			if !ofStatus || named(body) != "" || len(body) > lookupLimit || !strings.Contains(strings.ToLower(contentType), "json") {
				t.Errorf("%d %q as %q is read as none", status, body, contentType)
			}
		case status != http.StatusOK || err != nil || len(body) > lookupLimit || !strings.Contains(strings.ToLower(named(body)), got.ID()):
			t.Errorf("%d %q is read as %s (%v)", status, body, said, err)
		}
	})
}

// named returns the Customer in an answer, or "" for none.
func named(body string) string {
	var answer map[string]any
	if json.Unmarshal([]byte(body), &answer) != nil {
		return ""
	}
	name, _ := answer["customer"].(string)
	return name
}
