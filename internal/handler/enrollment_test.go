package handler_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/emulator"
)

// enrolling lets users create their own Customers. Alice and bob are linked.
func enrolling(t *testing.T, noting ...*changes) func(*setup) {
	t.Helper()
	var store *customerdb.Database
	fromDatabase := fromSQLite(t, func(s *customerdb.Database) { store = s })
	for _, c := range noting {
		c.of(store)
	}
	keys, err := customer.ParseEnrollmentKeys(clienttoken.NewSecret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 31) + "."))))
	if err != nil {
		t.Fatal(err)
	}
	return func(s *setup) {
		fromDatabase(s)
		s.policy = append(s.policy, "customer.create")
		s.enrollment = func(api clienttoken.API, client *dwolla.Client) clienttoken.Enrollment {
			links := customer.NewLinkSource(api, store, time.Minute)
			s.directory = func(clienttoken.API) customer.Source { return links }
			return customer.NewEnrollment(keys, links, store, client)
		}
	}
}

// put asks to link a Customer to user.
func (w *world) put(t *testing.T, user, content string, edits ...with) answer {
	t.Helper()
	return w.do(t, w.request(user, http.MethodPut, "/session/customer", append([]with{body(content)}, edits...)...))
}

// creates adds a Customer of carol's, made with a drop-in component.
func (w *world) creates(t *testing.T) (href, id string) {
	t.Helper()
	var page struct{ CorrelationID string }
	a := w.get(t, carol, "/session")
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || page.CorrelationID == "" {
		t.Fatalf("no correlationId: %s", a.body)
	}
	created := w.dwolla.Customer(emulator.Customer{CorrelationID: page.CorrelationID})
	return sandboxRoot + "/customers/" + created.ID, created.ID
}

func named(href string) string {
	return `{"action":"customer.read","_links":{"customer":{"href":"` + href + `"}}}`
}

func TestFirstNamedTokenEnrollsNewCustomer(t *testing.T) {
	w := newWorld(t, enrolling(t))
	href, id := w.creates(t)
	for n := range 3 {
		a := w.vend(t, carol, named(href))
		if a.status != http.StatusOK {
			t.Fatalf("answer %d %s: %s", a.status, a.body, a.audit.text("reason"))
		}
		a.audit.has(t, line{"user": carol, "customer": id, "outcome": "vended"})
		if enrolled := strings.Contains(a.audit.text("reason"), "enrolled"); enrolled != (n == 0) {
			t.Errorf("time %d: the reason is %q", n, a.audit.text("reason"))
		}
	}
	for _, user := range []string{alice, bob, mallory} {
		a := w.vend(t, user, named(href))
		a.failed(t, http.StatusForbidden, "CustomerMismatch")
	}
}

func TestPutLinksNewCustomerIdempotently(t *testing.T) {
	var changed changes
	w := newWorld(t, enrolling(t, &changed), basePath("/dropgate"))
	href, id := w.creates(t)
	for range 3 {
		a := w.put(t, carol, `{"href":"`+href+`","response":{"location":"x"}}`)
		if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"id":"`+id+`","href":"`) {
			t.Errorf("answer %d %s", a.status, a.body)
		}
		changed.are(t, "bearer linked "+carol+" "+id) // once
	}
	if a := w.get(t, carol, "/session"); !strings.Contains(a.body, `"customer":{"id":"`+id+`"`) || strings.Contains(a.body, "correlationId") {
		t.Errorf("the page sees %s", a.body)
	}
	if a := w.put(t, alice, `{"href":"`+sandboxRoot+"/customers/"+alicesID+`"}`); a.status != http.StatusOK {
		t.Errorf("her own: %d %s", a.status, a.body)
	}
}

func TestPutRefusesForeignCustomer(t *testing.T) {
	w := newWorld(t, enrolling(t))
	href, _ := w.creates(t)
	for name, c := range map[string]struct{ user, href string }{
		"another user's":            {carol, sandboxRoot + "/customers/" + bobsID},
		"of a user who has one":     {alice, href},
		"created by another user":   {mallory, href},
		"another host":              {carol, strings.Replace(href, "api-sandbox.dwolla.com", "api-sandbox.dwolla.com.evil.example", 1)},
		"the other environment":     {carol, strings.Replace(href, "api-sandbox", "api", 1)},
		"a Customer of nobody here": {carol, sandboxRoot + "/customers/" + nobodysID},
		"an owner":                  {carol, sandboxRoot + "/beneficial-owners/" + w.owner},
	} {
		a := w.put(t, c.user, `{"href":"`+c.href+`"}`)
		a.failed(t, http.StatusForbidden, "CustomerMismatch")
		if strings.Contains(a.body, "correlationId") || a.audit.text("reason") == "" {
			t.Errorf("%s: the answer is %s, the reason %q", name, a.body, a.audit.text("reason"))
		}
	}
	if a := w.put(t, carol, `{"href":"`+href+`"}`); a.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

func TestPutRefusesBodiesWithoutCustomer(t *testing.T) {
	w := newWorld(t, enrolling(t))
	for content, code := range map[string]string{
		``: "BadRequest", `null`: "BadRequest", `[]`: "BadRequest", `{"href":"https://x.example","href":"https://y.example"}`: "BadRequest",
		`{}`: "ValidationError", `{"href":null}`: "ValidationError", `{"href":""}`: "ValidationError", `{"href":7}`: "ValidationError",
		`{"href":"/customers/1"}`: "ValidationError", `{"href":"https://x.example/` + strings.Repeat("x", 2048) + `"}`: "ValidationError",
		`{"HREF":"https://x.example"}`: "ValidationError",
	} {
		a := w.put(t, carol, content)
		a.refused(t, http.StatusBadRequest, code)
	}
	a := w.put(t, nobody, `{"href":"`+sandboxRoot+"/customers/"+alicesID+`"}`)
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
	a = w.put(t, alice, `{"href":"`+sandboxRoot+"/customers/"+alicesID+`"}`, header("Sec-Fetch-Site", "cross-site"))
	a.refused(t, http.StatusForbidden, "CrossOriginRequest")
	a = w.put(t, alice, `{"href":"`+sandboxRoot+"/customers/"+alicesID+`"}`, inCookie)
	a.refused(t, http.StatusForbidden, "CrossOriginRequest") // a cookie without an origin
}

func TestLinkAttemptsAreLimitedWithRetryAfter(t *testing.T) {
	w := newWorld(t, enrolling(t))
	for n := range 13 {
		a := w.vend(t, carol, named(sandboxRoot+"/customers/"+nobodysID))
		if n < 10 {
			a.failed(t, http.StatusForbidden, "CustomerMismatch")
			continue
		}
		a.refused(t, http.StatusTooManyRequests, "TooManyRequests")
		if a.header.Get("Retry-After") != "10" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
	}
	// Requests without a call stay possible.
	a := w.vend(t, carol, named(sandboxRoot+"/customers/"+bobsID))
	a.refused(t, http.StatusForbidden, "CustomerMismatch")
}

func TestNoEnrollmentMeansNoRouteAndCorrelationID(t *testing.T) {
	w := newWorld(t)
	if a := w.get(t, carol, "/session"); strings.Contains(a.body, "correlationId") {
		t.Errorf("the page sees %s", a.body)
	}
	r := w.request(carol, http.MethodPut, "/session/customer/", body(`{}`))
	a := w.do(t, r)
	a.refused(t, http.StatusNotFound, "NotFound")
}

func TestLinkIsAuditedEvenIfTheTokenFails(t *testing.T) {
	w := newWorld(t, enrolling(t))
	href, id := w.creates(t)
	w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: 503})
	a := w.vend(t, carol, named(href))
	a.failed(t, http.StatusServiceUnavailable, "Unavailable")
	a.audit.has(t, line{"user": carol, "customer": id, "outcome": "Unavailable"})
	if reason := a.audit.text("reason"); !strings.Contains(reason, "enrolled") || !strings.Contains(reason, "503") {
		t.Errorf("the reason is %q", reason)
	}
	if metrics := w.metricsText(); !strings.Contains(metrics, `dropgate_customer_links_total{outcome="linked"} 1`) {
		t.Error("the link is not counted")
	}
}

func TestOnlyNewLinksAreCounted(t *testing.T) {
	w := newWorld(t, enrolling(t))
	href, _ := w.creates(t)
	for range 3 {
		if a := w.put(t, carol, `{"href":"`+href+`"}`); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if metrics := w.metricsText(); !strings.Contains(metrics, `dropgate_customer_links_total{outcome="linked"} 1`+"\n") {
		t.Error("one link is counted otherwise")
	}
}
