package handler_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

// operations lists "METHOD /path" of the document.
func (c contract) operations() []string {
	var all []string
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

func TestContractAndRoutesListTheSameOperations(t *testing.T) {
	c := newContract(t)
	var served []string
	err := chi.Walk(c.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		served = append(served, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(served)
	if diff := cmp.Diff(c.operations(), served); diff != "" {
		t.Errorf("api/openapi.yaml (-) and the routes (+) differ:\n%s", diff)
	}
}

// documented lists "METHOD /path status type" of the contract. The type is empty
// without a body.
func (c contract) documented() []string {
	var all []string
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				types := slices.Collect(maps.Keys(response.Value.Content))
				if len(types) == 0 {
					types = []string{""}
				}
				for _, of := range types {
					all = append(all, method+" "+path+" "+status+" "+of)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// exchange is a request and its documented response.
type exchange struct {
	user, method, path string
	body               string
	header             http.Header
	want               string // "status", "status code" or "status page"

	server  *httptest.Server                // nil: the first one
	prepare func(*testing.T, contract) with // edits the request; may be nil
	mishap  mishap                          // of the session store, once it is prepared
}

// exchanges provoke every documented response.
func exchanges() []exchange {
	post := func(user, body, want string) exchange {
		return exchange{
			user: user, method: http.MethodPost, path: "/client-tokens", body: body,
			header: http.Header{"Content-Type": {"application/json"}}, want: want,
		}
	}
	crossSite := post("alice", `{"action":"customer.read"}`, "403 CrossOriginRequest")
	crossSite.header.Set("Sec-Fetch-Site", "cross-site")
	text := post("alice", `{"action":"customer.read"}`, "415 UnsupportedMediaType")
	text.header.Set("Content-Type", "text/plain")
	return []exchange{
		post("alice", `{"action":"customer.read"}`, "200"),
		post("alice", `{"action":"customer.read","links":{"customer":{"href":"`+contractCustomer+`"}},"more":1}`, "200"),
		post("alice", `{"action":"customer.read","_links":null}`, "200"),
		post("alice", `{"action":"customer.read","_links":{"customer":null}}`, "200"),
		post("alice", `[]`, "400 BadRequest"),
		post("alice", `{"action":7}`, "400 ValidationError"),
		post("alice", `{"action":""}`, "400 ValidationError"),
		post("alice", `{}`, "400 ValidationError"),
		post("alice", `{"action":"customer.read","_links":[]}`, "400 ValidationError"),
		post("alice", `{"action":"customer.read","_links":{"customer":{}}}`, "400 ValidationError"),
		post("alice", `{"action":"customer.read","_links":{"destination":{"href":"`+contractCustomer+`"}}}`, "400 ValidationError"),
		post("", `{"action":"customer.read"}`, "401 Unauthenticated"),
		post("alice", `{"action":"beneficialowners.create"}`, "403 ActionNotAllowed"),
		post("alice", `{"action":"customer.read","_links":{"customer":{"href":"https://evil.example.com/x"}}}`, "403 CustomerMismatch"),
		crossSite,
		post("nobody", `{"action":"customer.read"}`, "409 CustomerNotLinked"),
		post("alice", `{"action":"customer.create"}`, "409 CustomerAlreadyLinked"),
		post("alice", `{"action":"`+strings.Repeat("x", 64<<10)+`"}`, "413 PayloadTooLarge"),
		text,
		post("panic", `{"action":"customer.read"}`, "500 ServerError"),
		post("alice", `{"action":"customer.update"}`, "502 UpstreamError"),
		post("alice", `{"action":"customer.documents.create"}`, "503 Unavailable"),
		post("alice", `{"action":"customer.documents.read"}`, "504 UpstreamTimeout"),
		{user: "alice", method: http.MethodGet, path: "/session", want: "200"},
		{user: "alice", method: http.MethodGet, path: "/session", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: "403 CrossOriginRequest"},
		{user: "nobody", method: http.MethodGet, path: "/session", want: "200"},
		{user: "", method: http.MethodGet, path: "/session", want: "401 Unauthenticated"},
		{user: "panic", method: http.MethodGet, path: "/session", want: "500 ServerError"},
		{user: "down", method: http.MethodGet, path: "/session", want: "503 Unavailable"},
		{user: "alice", method: http.MethodPost, path: "/session", want: "200"},
		{user: "nobody", method: http.MethodPost, path: "/session", want: "200"},
		{user: "alice", method: http.MethodPost, path: "/session", body: `{"action":"customer.read"}`, want: "400 BadRequest"},
		{user: "", method: http.MethodPost, path: "/session", want: "401 Unauthenticated"},
		{user: "alice", method: http.MethodPost, path: "/session", header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: "403 CrossOriginRequest"},
		{user: "panic", method: http.MethodPost, path: "/session", want: "500 ServerError"},
		{user: "down", method: http.MethodPost, path: "/session", want: "503 Unavailable"},
		{user: "", method: http.MethodGet, path: "/dropgate.js", want: "200"},
		{user: "", method: http.MethodGet, path: "/dropgate.js", header: http.Header{"If-None-Match": {"*"}}, want: "304"},
		{user: "", method: http.MethodGet, path: "/dropgate.mjs", want: "200"},
		{user: "", method: http.MethodGet, path: "/dropgate.mjs", header: http.Header{"If-None-Match": {"*"}}, want: "304"},
		{user: "", method: http.MethodGet, path: "/dropgate.d.ts", want: "200"},
		{user: "", method: http.MethodGet, path: "/dropgate.d.ts", header: http.Header{"If-None-Match": {"*"}}, want: "304"},
		{user: "", method: http.MethodGet, path: "/openapi.yaml", want: "200"},
		{user: "", method: http.MethodGet, path: "/openapi.yaml", header: asImage(), want: "403 CrossOriginRequest"},
	}
}

// request is the request of an exchange. The client and the contract need a
// request each.
func (c contract) request(t *testing.T, e exchange, edit with) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), e.method, c.server.URL+e.path, strings.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, e.header)
	if e.user != "" {
		token, err := c.provider.TokenFor(e.user)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	edit(r)
	return r
}

// do sends the exchange and returns "status code" and the type of the response.
// It checks the response against the contract.
func (c contract) do(t *testing.T, e exchange) (got, contentType string) {
	t.Helper()
	edit := func(*http.Request) {}
	if e.prepare != nil {
		edit = e.prepare(t, c)
	}
	c.store.has(e.mishap)
	defer c.store.has(nil)
	r := c.request(t, e, edit)
	if e.server != nil {
		r.URL.Host = strings.TrimPrefix(e.server.URL, "http://")
	}
	resp, err := c.server.Client().Transport.RoundTrip(r) // no redirect is followed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	asked := c.request(t, e, edit)
	route, params, err := c.router.FindRoute(asked)
	if err != nil {
		t.Fatal(err)
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true,
			AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		},
	}
	// The service must refuse every body that the schema refuses, and for JSON no
	// others. A schema cannot describe valid forms or addresses.
	accepted := openapi3filter.ValidateRequest(t.Context(), input) == nil
	malformed := resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusRequestEntityTooLarge ||
		resp.StatusCode == http.StatusUnsupportedMediaType
	if accepted == malformed && (!accepted || e.path == "/client-tokens" || e.path == "/session/customer") {
		t.Errorf("the contract accepts the request: %v; the answer is %d: %.300s", accepted, resp.StatusCode, body)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                input.Options,
	}); err != nil {
		t.Errorf("the answer is not the contract's: %v", err)
	}
	contentType, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", codeOf(resp.StatusCode, contentType, string(body)))), contentType
}

// codeOf is the code of an error response, "page" for an HTML page, and otherwise
// empty.
func codeOf(status int, contentType, body string) string {
	if status < http.StatusBadRequest {
		return ""
	}
	if contentType == "text/html" {
		return "page"
	}
	_, code, _ := strings.Cut(body, `"code":"`)
	code, _, _ = strings.Cut(code, `"`)
	return code
}

// TestResponsesMatchTheContract checks both directions. Every response is
// documented, and every documented status and type occurs.
func TestResponsesMatchTheContract(t *testing.T) {
	c := newContract(t)
	seen := map[string]bool{}
	codes := map[string]bool{"NotFound": true, "MethodNotAllowed": true} // of no operation
	for _, e := range slices.Concat(exchanges(), signInExchanges(c), directoryExchanges()) {
		path, _, _ := strings.Cut(e.path, "?")
		t.Run(e.path+" "+e.want+" "+e.user, func(t *testing.T) {
			got, contentType := c.do(t, e)
			for n := 0; e.prepare != nil && got != e.want && n < 5; n++ {
				got, contentType = c.do(t, e) // on a slow machine, a limit has refilled since
			}
			if got != e.want {
				t.Errorf("answer %q, want %q", got, e.want)
			}
			status, code, _ := strings.Cut(got, " ")
			seen[e.method+" "+path+" "+status+" "+contentType] = true
			if code != "" && code != "page" {
				codes[code] = true
			}
		})
	}
	if diff := cmp.Diff(c.documented(), slices.Sorted(maps.Keys(seen))); diff != "" {
		t.Errorf("the contract's answers (-) and those seen (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(enum(c.doc.Components.Schemas["Error"].Value.Properties["code"]), slices.Sorted(maps.Keys(codes))); diff != "" {
		t.Errorf("the contract's codes (-) and those seen (+) differ:\n%s", diff)
	}
}

func TestContractListsEveryActionAndComponent(t *testing.T) {
	c := newContract(t)
	var actions, components []string
	for _, a := range clienttoken.Actions() {
		actions = append(actions, string(a))
	}
	for _, k := range clienttoken.Components() {
		components = append(components, string(k))
	}
	slices.Sort(actions)
	slices.Sort(components)
	if diff := cmp.Diff(enum(c.doc.Components.Schemas["Action"]), actions); diff != "" {
		t.Errorf("actions of the contract (-) and the code (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(enum(c.doc.Components.Schemas["Component"]), components); diff != "" {
		t.Errorf("components of the contract (-) and the code (+) differ:\n%s", diff)
	}
}

// enum lists the values of a schema's enum in order.
func enum(schema *openapi3.SchemaRef) []string {
	var values []string
	for _, v := range schema.Value.Enum {
		values = append(values, fmt.Sprint(v))
	}
	slices.Sort(values)
	return values
}

// asImage returns the headers of a foreign page loading an image.
func asImage() http.Header {
	return http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Dest": {"image"}}
}
