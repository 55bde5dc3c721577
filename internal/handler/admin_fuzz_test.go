package handler_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
)

// paper is a directory in memory. It records its calls.
type paper struct {
	links map[string]clienttoken.Link
	asked []string // users and page cursors
	pages []int    // limits
}

func (p *paper) Find(_ context.Context, user string) (clienttoken.Link, error) {
	p.asked = append(p.asked, user)
	found, ok := p.links[user]
	if !ok {
		return clienttoken.Link{}, clienttoken.ErrNoCustomer
	}
	return found, nil
}

func (p *paper) List(_ context.Context, after string, limit int) ([]clienttoken.Link, error) {
	if p.pages = append(p.pages, limit); after != "" {
		p.asked = append(p.asked, after)
	}
	var found []clienttoken.Link
	for user, l := range p.links {
		if user > after {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b clienttoken.Link) int { return strings.Compare(a.UserID, b.UserID) })
	return found[:min(len(found), limit)], nil
}

func (p *paper) Link(_ context.Context, user string, customer clienttoken.CustomerURL) error {
	p.asked = append(p.asked, user)
	p.links[user] = clienttoken.Link{UserID: user, Customer: clienttoken.Customer{URL: customer}}
	return nil
}

func (p *paper) Unlink(_ context.Context, user string) error {
	p.asked = append(p.asked, user)
	delete(p.links, user)
	return nil
}

// admin is the admin listener without a socket, with links on paper.
type admin struct {
	http.Handler

	paper *paper
	logs  *logs
	api   clienttoken.API
}

func newAdmin(tb testing.TB) *admin {
	tb.Helper()
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		tb.Fatal(err)
	}
	a := &admin{paper: &paper{}, logs: newLogs(), api: api}
	logger := zerolog.New(a.logs)
	a.Handler = handler.NewAdmin(handler.AdminConfig{
		Ready: func(context.Context) handler.Readiness { return handler.Readiness{} }, Gatherer: prometheus.NewRegistry(),
		Operators: operators, API: api, Links: a.paper, Audit: audit.NewTrail(&auditSink{to: a.logs}, prometheus.NewRegistry()), Logger: logger,
	})
	return a
}

// reset forgets everything, and links alice and bob.
func (a *admin) reset(tb testing.TB) {
	tb.Helper()
	a.logs.forget()
	*a.paper = paper{links: map[string]clienttoken.Link{}}
	for user, id := range map[string]string{alice: alicesID, bob: bobsID} {
		customer, err := clienttoken.ParseCustomerID(a.api, id)
		if err != nil {
			tb.Fatal(err)
		}
		_ = a.paper.Link(tb.Context(), user, customer)
	}
	a.paper.asked = nil
}

// FuzzAdmin sends anything to the directory's routes. Without the token, the
// directory is never asked. With it, only valid user ids reach it. A link reads
// back as written, a cursor continues its page, and every response is JSON.
func FuzzAdmin(f *testing.F) {
	good := "Bearer " + adminToken
	id := `{"customer":"` + bobsID + `"}`
	for _, seed := range [][4]string{
		{"PUT", "carol", id, good},
		{"PUT", "carol", id, ""},
		{"PUT", "carol", id, "bearer " + adminToken},
		{"PUT", "carol", id, good + " "},
		{"PUT", "carol", id, "Basic " + adminToken},
		{"GET", "alice", "", good},
		{"DELETE", "alice", "", good},
		{"POST", "alice", id, good},
		{"PUT", "a%2Fb", id, good},
		{"PUT", "a/b", id, good},
		{"GET", "%zz", "", good},
		{"GET", "%00", "", good},
		{"GET", "..", "", good},
		{"PUT", "%FF", id, good},
		{"PUT", "caf%C3%A9", id, good},
		{"PUT", "café", id, good},
		{"PUT", "a%25b", id, good},
		{"PUT", "%E2%80%AE", id, good},
		{"PUT", strings.Repeat("%C3%A9", 255), id, good},
		{"PUT", strings.Repeat("a", 256), id, good},
		{"PUT", "a%0Ab", id, good},
		{"PUT", "{user}", id, good},
		{"PUT", "carol", `{"customer":"` + sandboxRoot + `/customers/` + bobsID + `/"}`, good},
		{"PUT", "carol", `{"customer":"https://evil.example/customers/` + bobsID + `"}`, good},
		{"PUT", "carol", `{"customer":""}`, good},
		{"PUT", "carol", `{"customer":null}`, good},
		{"PUT", "carol", `[]`, good},
		{"PUT", "carol", `{"customer":"x","customer":"y"}`, good},
		{"PUT", "carol", `{"customer":"` + strings.Repeat("x", 3000) + `"}`, good},
		{"PUT", "carol", strings.Repeat(" ", 65<<10) + id, good},
		{"GET", "", "", good},
		{"GET", "?", "", good},
		{"GET", "?limit=1", "", good},
		{"GET", "?limit=1&cursor=YWxpY2U", "", good},
		{"GET", "?limit=0", "", good},
		{"GET", "?limit=1001", "", good},
		{"GET", "?limit=%2B1", "", good},
		{"GET", "?limit=1_0", "", good},
		{"GET", "?limit=-9223372036854775809", "", good},
		{"GET", "?cursor=YWxpY2V", "", good},
		{"GET", "?cursor=AA", "", good},
		{"GET", "?cursor=YWxp%0AY2U", "", good},
		{"GET", "?cursor=/w", "", good},
		{"GET", "?cursor=&cursor=YQ", "", good},
		{"GET", "?cursor=" + strings.Repeat("YWFh", 86), "", good},
		{"GET", "?limit=1;cursor=a", "", good},
		{"GET", "?cursor=%zz", "", good},
		{"GET", "?cursor=YWxpY2U", "", "Bearer "},
	} {
		f.Add(seed[0], seed[1], []byte(seed[2]), seed[3])
	}
	desk := newAdmin(f)
	f.Fuzz(func(t *testing.T, method, target string, content []byte, authorization string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(string(content)))
		if err != nil {
			t.Skip("no method that net/http lets through")
		}
		// As net/http's server parses the request line.
		path := "/customers"
		if !strings.HasPrefix(target, "?") && target != "" {
			path += "/"
		}
		if r.URL, err = url.ParseRequestURI(path + target); err != nil {
			t.Skip("no address that net/http lets through")
		}
		r.Header = http.Header{"Authorization": {authorization}, "Content-Type": {"application/json"}}
		desk.reset(t)
		r.Host = "localhost"
		got := httptest.NewRecorder()
		desk.ServeHTTP(got, r)
		desk.check(t, r, got)
	})
}

func (a *admin) check(t *testing.T, r *http.Request, got *httptest.ResponseRecorder) {
	t.Helper()
	if given := r.Header.Get("Authorization"); given != "Bearer "+adminToken && (len(a.paper.asked)+len(a.paper.pages) > 0 || got.Code < 400) {
		t.Errorf("with %q: %d, and the directory was asked for %q", given, got.Code, a.paper.asked)
	}
	a.checkAsked(t)
	if got.Code >= 500 {
		t.Errorf("%s %s: %d %s", r.Method, r.URL, got.Code, got.Body)
	}
	if strings.Contains(a.logs.text(), adminToken) {
		t.Error("the admin token is in the log")
	}
	if got.Body.Len() > 0 && got.Header().Get("Content-Type") == "application/json" || got.Code == http.StatusOK {
		a.checkBody(t, r, got)
	}
}

// checkAsked fails t unless the directory was asked about valid user ids and
// bounded pages only.
func (a *admin) checkAsked(t *testing.T) {
	t.Helper()
	for _, user := range a.paper.asked {
		unfit := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
		if n := utf8.RuneCountInString(user); n < 1 || n > 255 || strings.ContainsFunc(user, unfit) {
			t.Errorf("the directory was asked for %q", user)
		}
	}
	for _, limit := range a.paper.pages {
		if limit < 1 || limit > 1000 {
			t.Errorf("a page of %d", limit)
		}
	}
}

// checkBody parses a response and uses it for the next requests.
func (a *admin) checkBody(t *testing.T, r *http.Request, got *httptest.ResponseRecorder) {
	t.Helper()
	var answer struct {
		Code, Message, RequestID string
		User, Next               string
		Customer                 struct{ ID string }
		Customers                []struct{ User string }
	}
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil || got.Code >= 400 && (answer.Code == "" || answer.Message == "" || answer.RequestID == "") {
		t.Fatalf("%s %s: %d %s (%v)", r.Method, r.URL, got.Code, got.Body, err)
	}
	switch {
	case got.Code != http.StatusOK:
	case answer.User != "":
		again := a.get(t, "/customers/"+url.PathEscape(answer.User))
		if again.Code != http.StatusOK || again.Body.String() != got.Body.String() || a.paper.links[answer.User].Customer.URL.ID() != answer.Customer.ID {
			t.Errorf("%s %s: %s, and then %d %s", r.Method, r.URL, got.Body, again.Code, again.Body)
		}
	case answer.Next != "":
		last := answer.Customers[len(answer.Customers)-1].User
		if after, err := base64.RawURLEncoding.Strict().DecodeString(answer.Next); err != nil || string(after) != last {
			t.Errorf("the cursor %q stands for %q, want %q", answer.Next, after, last)
		}
		next := a.get(t, "/customers?cursor="+url.QueryEscape(answer.Next))
		if next.Code != http.StatusOK || strings.Contains(next.Body.String(), `"user":"`+last+`"`) {
			t.Errorf("after %s: %d %s", got.Body, next.Code, next.Body)
		}
	}
}

func (a *admin) get(t *testing.T, target string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	r.Host = "localhost"
	r.Header.Set("Authorization", "Bearer "+adminToken)
	got := httptest.NewRecorder()
	a.ServeHTTP(got, r)
	return got
}
