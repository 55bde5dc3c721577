package auth_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

func TestForwardSendsCredentialsBrowserAndAddressOnly(t *testing.T) {
	for name, credentials := range map[string]http.Header{
		"cookie":                {"Cookie": {appSession}},
		"several cookies":       {"Cookie": {appSession + "; theme=dark", "more=1"}},
		"authorization":         {"Authorization": {"Basic YTpi"}},
		"several":               {"Authorization": {"Basic YTpi", "Digest abc"}},
		"cookie, authorization": {"Authorization": {"Basic YTpi"}, "Cookie": {appSession}},
	} {
		runSynctest(t, name, func(t *testing.T) {
			app := newApplication()
			app.answers(page(document(object{"sub": "alice"})))
			r := requestWithExtraHeaders(t, credentials)
			before := r.Header.Clone()
			if _, err := forwardMode(app, from("203.0.113.7")).Authenticate(r, nil); err != nil || app.calls() != 1 {
				t.Fatalf("%d calls, %v", app.calls(), err)
			}
			want := credentials.Clone()
			want.Set("Accept", "application/json")
			want.Set("User-Agent", "of-the-request")
			want.Set("X-Forwarded-For", "203.0.113.7")
			checkQuestion(t, app.asked[0], want)
			if !reflect.DeepEqual(r.Header, before) {
				t.Errorf("the request's own headers became %v", r.Header)
			}
		})
	}
}

// requestWithExtraHeaders returns a request with headers irrelevant to the
// application.
func requestWithExtraHeaders(t *testing.T, credentials http.Header) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost,
		"https://evil.example.com/client-tokens?sub=bob", strings.NewReader(`{"action":"customer.read"}`))
	for _, name := range []string{
		"Origin", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Proxy-Secret",
		"Forwarded", "User-Agent", "Content-Type", "Content-Length", "Transfer-Encoding", "Host", "X-Request-Id", "Traceparent",
		"Accept", "Accept-Language", "If-None-Match", "Range", "Connection", "Proxy-Authorization", "Sec-Fetch-Site", "X-Http-Method-Override",
	} {
		r.Header.Set(name, "of-the-request")
	}
	maps.Copy(r.Header, credentials)
	return r
}

// checkQuestion checks for a bare GET of whoIs with these headers.
func checkQuestion(t *testing.T, asked *http.Request, header http.Header) {
	t.Helper()
	if !reflect.DeepEqual(asked.Header, header) {
		t.Errorf("headers %v, want %v", asked.Header, header)
	}
	if asked.Method != http.MethodGet || asked.URL.String() != whoIs || asked.Host != "app.internal" {
		t.Errorf("%s %s of host %s", asked.Method, asked.URL, asked.Host)
	}
	if asked.ContentLength != 0 || asked.Body != nil && asked.Body != http.NoBody {
		t.Errorf("a body of %d bytes", asked.ContentLength)
	}
}

func TestForwardSkipsCallWithoutCredentials(t *testing.T) {
	for name, header := range map[string]http.Header{
		"none":             nil,
		"empty":            {},
		"no values":        {"Cookie": {}, "Authorization": nil},
		"other headers":    {"X-Forwarded-User": {"alice"}, "Proxy-Authorization": {"Basic YTpi"}, "Cookie2": {appSession}, "X-Cookie": {appSession}},
		"set-cookie":       {"Set-Cookie": {appSession}},
		"a token in a URL": {"Referer": {"https://app.example.com/?" + appSession}},
	} {
		t.Run(name, func(t *testing.T) {
			app, second := newApplication(), &fakeMode{name: "second"}
			chain := auth.NewChain(prometheus.NewRegistry(), forwardMode(app), second)
			if got := verdict(chain.Authenticate(request(t.Context(), header), nil)); got != passedOn || app.calls() != 0 {
				t.Errorf("%s after %d calls, want %s after none", got, app.calls(), passedOn)
			}
		})
	}
}

func TestForwardBuildsSessionFromAnswer(t *testing.T) {
	longest := strings.Repeat("é", 255)
	byCookie, byHeader := inSession(appSession), http.Header{"Authorization": {"Basic YTpi"}}
	both := http.Header{"Authorization": {"Basic YTpi"}, "Cookie": {appSession}}
	for _, c := range []struct {
		name, userClaim, body string
		header                http.Header
		want                  auth.Session
	}{
		{"by cookie", "sub", `{"sub":"alice"}`, byCookie, auth.Session{User: clienttoken.User{ID: "alice", Claims: object{"sub": "alice"}}, ByCookie: true}},
		{"by header", "sub", `{"sub":"alice"}`, byHeader, auth.Session{User: clienttoken.User{ID: "alice", Claims: object{"sub": "alice"}}}},
		{"by both", "sub", `{"sub":"alice"}`, both, auth.Session{User: clienttoken.User{ID: "alice", Claims: object{"sub": "alice"}}, ByCookie: true}},
		{
			"the claims in use", "sub", ` {"sub":"alice","admin":true,"groups":["a","b"],"age":7,"SUB":"bob"} `, byHeader,
			auth.Session{User: clienttoken.User{ID: "alice", Claims: object{"sub": "alice", "groups": []any{"a", "b"}, "age": "7"}}},
		},
		{"another user claim", "user", `{"sub":"alice","user":"bob"}`, byHeader, auth.Session{User: clienttoken.User{ID: "bob", Claims: object{"user": "bob"}}}},
		{"255 characters", "sub", `{"sub":"` + longest + `"}`, byHeader, auth.Session{User: clienttoken.User{ID: longest, Claims: object{"sub": longest}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newApplication()
				app.answers(page(text(c.body)))
				forward := forwardMode(app, func(f *auth.ForwardConfig) {
					f.UserClaim, f.Claims = c.userClaim, []string{"groups", "age"}
				})
				c.want.Mode = "forward"
				for range 2 { // asked, then cached
					got, err := forward.Authenticate(request(t.Context(), c.header), nil)
					got.SignedOut = nil
					if err != nil || !reflect.DeepEqual(got, c.want) {
						t.Errorf("%+v (%v), want %+v", got, err, c.want)
					}
				}
			})
		})
	}
}

func TestForwardNoticesSignInAtOnce(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"401":             status(http.StatusUnauthorized),
		"403":             status(http.StatusForbidden),
		"401 with a user": withStatusAnd(http.StatusUnauthorized, `{"sub":"alice"}`),
		"403 with a user": withStatusAnd(http.StatusForbidden, `{"sub":"alice"}`),
		"401 with HTML":   withStatusAnd(http.StatusUnauthorized, "<html>"),
		"403 at length":   withStatusAnd(http.StatusForbidden, strings.Repeat(" ", 2*whoIsLimit)),
	} {
		runSynctest(t, name, func(t *testing.T) {
			app, second := newApplication(), &fakeMode{name: "second", user: "alice"}
			chain := auth.NewChain(prometheus.NewRegistry(), forwardMode(app), second)
			app.answers(page(answer))
			for range 2 {
				session, err := chain.Authenticate(request(t.Context(), inSession(appSession)), nil)
				if got := verdict(session, err); got != refused || second.asked != 0 {
					t.Errorf("%s, passed on %d times", got, second.asked)
				}
				checkRejection(t, err, inSession(appSession))
			}
			app.signIn()
			if got := verdict(chain.Authenticate(request(t.Context(), inSession(appSession)), nil)); got != aliceCookie {
				t.Errorf("%s after signing in", got)
			}
		})
	}
}

func TestBadBearerTokenNeverReachesApplication(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		want   string
		calls  int
	}{
		{"good token", bearer(goodToken()), alice, 0},
		{"good token, application's cookie", http.Header{"Authorization": bearer(goodToken())["Authorization"], "Cookie": {appSession}}, alice, 1},
		{"garbage", bearer("garbage"), refused, 0},
		{"forged", bearer(forged("rsa")), refused, 0},
		{"expired", bearer(tokenWith(object{"exp": midnight.Unix() - 61})), refused, 0},
		{"empty", bearer(""), refused, 0},
		{"garbage, application's cookie", http.Header{"Authorization": {"Bearer garbage"}, "Cookie": {appSession}}, refused, 0},
		{"twice, application's cookie", http.Header{"Authorization": {"Bearer a", "Basic YTpi"}, "Cookie": {appSession}}, refused, 0},
		{"garbage in bearer's cookie", http.Header{"Cookie": {appSession + "; " + cookie + "=garbage"}}, refused, 0},
		{"application's cookie", inSession(appSession), aliceCookie, 1},
		{"another scheme, application's cookie", http.Header{"Authorization": {"Basic YTpi"}, "Cookie": {appSession}}, aliceCookie, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := newApplication()
				chain := auth.NewChain(prometheus.NewRegistry(), bearerMode()(t), forwardMode(app))
				if got := verdict(chain.Authenticate(request(t.Context(), c.header), nil)); got != c.want || app.calls() != c.calls {
					t.Errorf("%s after %d calls, want %s after %d", got, app.calls(), c.want, c.calls)
				}
			})
		})
	}
}

func TestForwardPassesSharedAttempts(t *testing.T) {
	attempts := []attempt{
		{"the session", inSession(appSession), aliceCookie},
		{"the session beside a header of a proxy", http.Header{"Cookie": {appSession}, "X-Forwarded-User": {"bob"}}, aliceCookie},
		{"twice", inSession(appSession + "; " + appSession), refused},
		{"cut", inSession(appSession[:len(appSession)-1]), refused},
		{"8 KiB", inSession(strings.Repeat("a", 8<<10)), refused},
		{"empty", inSession(""), refused},
		{"a bearer token", bearer(goodToken()), refused},
		{"another scheme", http.Header{"Authorization": {"Basic YTpi"}}, refused},
	}
	for i, changed := range slices.Compact(changedInOne(appSession + ".x.x")) {
		if i%16 == 0 {
			attempts = append(attempts, attempt{"changed to " + changed, inSession(changed), refused})
		}
	}
	runAttempts(t, func(*testing.T) auth.Mode { return forwardMode(newApplication()) }, attempts)
}

func TestNewForwardPanicsWithoutRequiredSettings(t *testing.T) {
	for name, empty := range map[string]func(*auth.ForwardConfig){
		"URL":        func(c *auth.ForwardConfig) { c.URL = "" },
		"user claim": func(c *auth.ForwardConfig) { c.UserClaim = "" },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			forwardMode(nil, empty)
		})
	}
}
