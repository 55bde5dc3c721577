package handler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/handler"
)

const adminToken = "an admin token of more than 32 characters"

// readToken belongs to a read-only operator.
const readToken = "a read-only token of more than 32 characters"

func operators() handler.Operators {
	return handler.Operators{
		{Name: "auditor", Token: clienttoken.NewSecret(readToken)},
		{Name: "ann", Token: clienttoken.NewSecret(adminToken), Write: true},
		{Name: "ann-next", Token: clienttoken.NewSecret(adminToken + " for next month"), Write: true},
	}
}

// desk is the admin listener on a database, where an operator sits.
type desk struct {
	url   string
	store *customerdb.Database
	logs  *logs

	changed changes
}

func newDesk(t *testing.T, edit func(*handler.AdminConfig)) *desk {
	t.Helper()
	d := &desk{logs: newLogs()}
	fromSQLite(t, func(s *customerdb.Database) { d.store = s })
	d.changed.of(d.store)
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	logger := zerolog.New(d.logs)
	c := handler.AdminConfig{
		Ready: func(context.Context) handler.Readiness { return handler.Readiness{} }, Gatherer: prometheus.NewRegistry(),
		Operators: operators, API: api,
		Links: customer.LinkAdmin{API: api, Links: customer.NewLinkSource(api, d.store, 0), Store: d.store},
		Audit: audit.NewTrail(&auditSink{to: d.logs}, prometheus.NewRegistry()), Logger: logger,
	}
	if edit != nil {
		edit(&c)
	}
	server := httptest.NewServer(handler.NewAdmin(c))
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// ask sends an operator's request, and checks the rules for every response.
func (d *desk) ask(t *testing.T, method, path, content string, edits ...with) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	for _, edit := range append([]with{body(content)}, edits...) {
		edit(r)
	}
	mark := d.logs.mark()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{status: resp.StatusCode, header: resp.Header}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.body = string(text)
	access, audits := d.logs.since(mark, "access"), d.logs.since(mark, "audit")
	want := 0
	read := method == http.MethodGet
	if len(access) == 1 && access[0].text("mode") == "admin" && (read || a.status >= http.StatusBadRequest) { // not after too many bad tokens
		want = 1
	}
	if len(access) != 1 || len(audits) != want {
		t.Fatalf("%s %s left %d access lines and %d audit lines, want 1 and %d", method, path, len(access), len(audits), want)
	}
	a.access = accessLineOf(t, access[0])
	if want == 1 {
		a.audit = audits[0]
	}
	a.hasSecurityHeaders(t)
	a.hasTheOneShape(t, r)
	if strings.Contains(d.logs.text(), adminToken) {
		t.Error("the admin token is in the log")
	}
	return a
}

func TestCommandsLinkShowAndUnlink(t *testing.T) {
	d := newDesk(t, nil)
	a := d.ask(t, http.MethodGet, "/customers/carol", "")
	a.failed(t, http.StatusNotFound, "NotFound")
	for _, content := range []string{`{"customer":"` + nobodysID + `"}`, `{"customer":"` + sandboxRoot + "/customers/" + nobodysID + `"}`} {
		a = d.ask(t, http.MethodPut, "/customers/carol", content)
		if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"user":"carol","customer":{"id":"`+nobodysID+`","href":"`+sandboxRoot+"/customers/"+nobodysID+`"},"linkedAt":"`) {
			t.Errorf("answer %d %s", a.status, a.body)
		}
		d.changed.are(t, "admin linked carol "+nobodysID) // once
	}
	if a := d.ask(t, http.MethodGet, "/customers/carol", ""); a.status != http.StatusOK || !strings.Contains(a.body, nobodysID) {
		t.Errorf("answer %d %s", a.status, a.body)
	}
	for range 2 {
		a = d.ask(t, http.MethodDelete, "/customers/carol", "")
		if a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("answer %d %s", a.status, a.body)
		}
		d.changed.are(t, "admin linked carol "+nobodysID, "admin unlinked carol "+nobodysID) // once
	}
	a = d.ask(t, http.MethodGet, "/customers/carol", "")
	a.failed(t, http.StatusNotFound, "NotFound")
}

func TestOperatorNeverReplacesALink(t *testing.T) {
	d := newDesk(t, nil)
	a := d.ask(t, http.MethodPut, "/customers/alice", `{"customer":"`+nobodysID+`"}`)
	a.failed(t, http.StatusConflict, "CustomerAlreadyLinked")
	if !strings.Contains(a.problem.Message, "the user is linked to another Customer") {
		t.Errorf("the operator gets %q", a.problem.Message)
	}
	a = d.ask(t, http.MethodPut, "/customers/carol", `{"customer":"`+bobsID+`"}`)
	a.failed(t, http.StatusConflict, "CustomerAlreadyLinked")
	if !strings.Contains(a.problem.Message, "the Customer is linked to another user") {
		t.Errorf("the operator gets %q", a.problem.Message)
	}
	for user, id := range map[string]string{"alice": alicesID, "bob": bobsID} {
		if got, err := d.store.Customer(t.Context(), user); got != id || err != nil {
			t.Errorf("%s has %q, error %v", user, got, err)
		}
	}
}

func TestDirectoryNeedsAnAdminToken(t *testing.T) {
	d := newDesk(t, nil)
	for name, edit := range map[string]with{
		"none":         without("Authorization"),
		"another":      header("Authorization", "Bearer "+adminToken+"x"),
		"a part":       header("Authorization", "Bearer "+adminToken[:len(adminToken)-1]),
		"empty":        header("Authorization", "Bearer "),
		"another kind": header("Authorization", "Basic "+adminToken),
		"without kind": header("Authorization", adminToken),
		"in a cookie": func(r *http.Request) {
			r.Header.Set("Cookie", r.Header.Get("Authorization"))
			r.Header.Del("Authorization")
		},
		"the first one": header("Authorization", "Bearer x", "Bearer "+adminToken),
	} {
		for _, route := range [][2]string{
			{http.MethodGet, "/customers"}, {http.MethodGet, "/customers/alice"}, {http.MethodPut, "/customers/carol"}, {http.MethodDelete, "/customers/alice"},
		} {
			a := d.ask(t, route[0], route[1], `{"customer":"`+nobodysID+`"}`, edit)
			a.failed(t, http.StatusUnauthorized, "Unauthenticated")
			if a.header.Get("Www-Authenticate") != "Bearer" || strings.Contains(a.body, "alice") {
				t.Errorf("%s: %v %s", name, a.header, a.body)
			}
		}
	}
	if got, err := d.store.Customer(t.Context(), "alice"); got != alicesID || err != nil {
		t.Errorf("alice has %q, error %v", got, err)
	}
}

func TestDirectoryRoutesNeedOperators(t *testing.T) {
	for name, edit := range map[string]func(*handler.AdminConfig){
		"no token": func(c *handler.AdminConfig) { c.Operators = nil },
		"no links": func(c *handler.AdminConfig) { c.Links = nil },
	} {
		got := httptest.NewRecorder()
		c := handler.AdminConfig{
			Ready: func(context.Context) handler.Readiness { return handler.Readiness{} }, Gatherer: prometheus.NewRegistry(),
			Operators: operators, Links: customer.LinkAdmin{},
		}
		edit(&c)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/customers", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+adminToken)
		handler.NewAdmin(c).ServeHTTP(got, r)
		if got.Code != http.StatusNotFound {
			t.Errorf("%s: %d", name, got.Code)
		}
	}
}

func TestUserIDsInPathsAreDecodedOnce(t *testing.T) {
	d := newDesk(t, nil)
	for n, user := range []string{"auth0|5f7c", "a/b", "..", ".", "%2F", "a b", "ü🦆", "?x=1", "a+b", "%", "#", ";", strings.Repeat("x", 255)} {
		id := fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)
		at := "/customers/" + url.PathEscape(user)
		if user == "." || user == ".." { // clients take these away before they ask
			at = "/customers/" + strings.ReplaceAll(user, ".", "%2E")
		}
		a := d.ask(t, http.MethodPut, at, `{"customer":"`+id+`"}`)
		if got, err := d.store.Customer(t.Context(), user); got != id || err != nil {
			t.Errorf("%q has %q, error %v; the answer was %d %s", user, got, err, a.status, a.body)
		}
	}
	for _, bad := range []string{"%00", "a%0Ab", "%FF", strings.Repeat("x", 256), "%EF%BF%BD"} {
		a := d.ask(t, http.MethodPut, "/customers/"+bad, `{"customer":"`+nobodysID+`"}`)
		a.failed(t, http.StatusBadRequest, "BadRequest")
	}
}

func TestOperatorsBadLinksAreRefused(t *testing.T) {
	d := newDesk(t, nil)
	for content, code := range map[string]string{
		``: "BadRequest", `[]`: "BadRequest", `{}`: "ValidationError", `{"customer":""}`: "ValidationError", `{"customer":7}`: "ValidationError",
		`{"customer":"x"}`: "ValidationError", `{"customer":"https://api.dwolla.com/customers/` + nobodysID + `"}`: "ValidationError",
		`{"customer":"` + nobodysID + `","customer":"` + bobsID + `"}`: "BadRequest",
	} {
		a := d.ask(t, http.MethodPut, "/customers/carol", content)
		a.failed(t, http.StatusBadRequest, code)
	}
	a := d.ask(t, http.MethodPut, "/customers/carol", `{}`, header("Content-Type", "text/plain"))
	a.failed(t, http.StatusUnsupportedMediaType, "UnsupportedMediaType")
}

// page is the response of GET /customers.
type linksPage struct {
	Customers []struct {
		User     string
		Customer struct{ ID string }
		LinkedAt time.Time
	}
	Next string
}

// list is the whole directory, read in pages of at most limit: Customer ids by
// user.
func (d *desk) list(t *testing.T, limit int) map[string]string {
	t.Helper()
	all, cursor := map[string]string{}, ""
	for {
		a := d.ask(t, http.MethodGet, fmt.Sprintf("/customers?limit=%d&cursor=%s", limit, cursor), "")
		var page linksPage
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Customers) > limit {
			t.Fatalf("%v: %s", err, a.body)
		}
		for _, c := range page.Customers {
			if all[c.User] != "" {
				t.Errorf("%q is listed twice", c.User)
			}
			all[c.User] = c.Customer.ID
			if time.Since(c.LinkedAt) > time.Minute {
				t.Errorf("%q was linked at %v", c.User, c.LinkedAt)
			}
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

func TestDirectoryIsListedByPages(t *testing.T) {
	d := newDesk(t, nil)
	want := map[string]string{"alice": alicesID, "bob": bobsID}
	for n := range 23 {
		user, id := fmt.Sprint("user ", n), fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)
		want[user] = id
		if err := d.store.Link(t.Context(), user, id); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 5, 24, 25, 26, 1000} {
		if got := d.list(t, limit); !maps.Equal(got, want) {
			t.Errorf("limit %d lists %v, want %v", limit, got, want)
		}
	}
	if a := d.ask(t, http.MethodGet, "/customers", ""); !strings.Contains(a.body, "user 22") {
		t.Errorf("without a limit: %s", a.body)
	}
	for _, bad := range []string{"limit=0", "limit=1001", "limit=x", "limit=-1", "cursor=%21", "cursor=a", "cursor=AA", "cursor=_w"} {
		a := d.ask(t, http.MethodGet, "/customers?"+bad, "")
		a.failed(t, http.StatusBadRequest, "BadRequest")
	}
}

// downLinks is a directory with a failing database.
type downLinks struct{ handler.Links }

func (downLinks) Link(context.Context, string, clienttoken.CustomerURL) error { return nil }

func (downLinks) Find(context.Context, string) (clienttoken.Link, error) {
	return clienttoken.Link{}, &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("down")}
}

func TestOperatorSeesDirectoryOutage(t *testing.T) {
	d := newDesk(t, func(c *handler.AdminConfig) { c.Links = downLinks{} })
	a := d.ask(t, http.MethodGet, "/customers/alice", "")
	a.failed(t, http.StatusServiceUnavailable, "Unavailable")
	a = d.ask(t, http.MethodPut, "/customers/carol", `{"customer":"`+nobodysID+`"}`) // still succeeds
	if a.status != http.StatusOK || !strings.Contains(a.body, nobodysID) {
		t.Errorf("answer %d %s", a.status, a.body)
	}
	a = d.ask(t, http.MethodDelete, "/customers/alice", "") // panics: it has no parts
	a.failed(t, http.StatusInternalServerError, "ServerError")
}
