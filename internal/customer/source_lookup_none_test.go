package customer_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// typed returns an answer with these Content-Types.
func typed(status int, body string, types ...string) http.RoundTripper {
	return reply(func(r *http.Request) (*http.Response, error) {
		response, err := answer(status, body).RoundTrip(r)
		response.Header["Content-Type"] = types
		return response, err
	})
}

// saysNone returns an answer for a user without a Customer.
func saysNone() http.RoundTripper {
	return typed(http.StatusNotFound, `{"code":"NotFound"}`, "application/json")
}

func TestLookupBelievesNoCustomerOnlyInJSON(t *testing.T) {
	for name, answer := range map[string]http.RoundTripper{
		"404":                      saysNone(),
		"404 without a body":       typed(404, "", "application/json"),
		"404 with a charset":       typed(404, "{}", "Application/JSON; charset=utf-8"),
		"404 with a bad parameter": typed(404, "{}", "application/json; charset"),
		"404 as a problem":         typed(404, `{"title":"none"}`, "application/problem+json"),
		"404 with null":            typed(404, " null\n", "application/json"),
		"404 with a string":        typed(404, `"none"`, "application/json"),
		"404 with customer null":   typed(404, `{"customer":null}`, "application/json"),
		"200 with null":            typed(200, " null\n", "application/json"),
		"200 with customer null":   typed(200, `{"id":7,"customer":null}`, "application/json"),
	} {
		t.Run(name, func(t *testing.T) {
			app := &application{answer: answer}
			lookup := newLookup(t, app)
			wantVerdict(t, lookup, "ann", none)
			wantVerdict(t, lookup, "ann", none)
			wantCalls(t, app, 2) // not cached, so a new Customer counts at once
		})
	}
}

func TestLookupReportsAProxysOwn404(t *testing.T) {
	for name, answer := range map[string]http.RoundTripper{
		"no type":               answer(404, ""),
		"no type, JSON":         answer(404, "{}"),
		"a page":                typed(404, "<html>", "text/html"),
		"a page called JSON":    typed(404, "<html>", "application/json"),
		"JSON called a page":    typed(404, "{}", "text/html"),
		"JSON called text":      typed(404, "null", "text/plain; charset=utf-8"),
		"text/json":             typed(404, "{}", "text/json"),
		"two types":             typed(404, "{}", "application/json", "text/html"),
		"two types in one":      typed(404, "{}", "application/json, text/html"),
		"JSON in a parameter":   typed(404, "{}", "text/html; x=application/json"),
		"a sequence":            typed(404, "{}\n{}", "application/json-seq"),
		"two values":            typed(404, "{}{}", "application/json"),
		"a member twice":        typed(404, `{"a":1,"a":2}`, "application/json"),
		"beside a Customer":     typed(404, `{"customer":"`+customerA+`"}`, "application/json"),
		"beside a wrong type":   typed(404, `{"customer":7}`, "application/json"),
		"too long":              typed(404, strings.Repeat(" ", lookupLimit+1), "application/json"),
		"200 null called text":  typed(200, "null", "text/plain"),
		"200 null without type": typed(200, `{"customer":null}`),
		"200 with nothing":      typed(200, "", "application/json"),
		"200 without customer":  typed(200, "{}", "application/json"),
		"200 with an empty one": typed(200, `{"customer":""}`, "application/json"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newLookup(t, &application{answer: answer}).Customer(t.Context(), clienttoken.User{ID: "ann"})
			wantFailure(t, err)
			failure, _ := errors.AsType[*clienttoken.Failure](err)
			if !strings.Contains(failure.Remedy, "CUSTOMER_LOOKUP_URL") || !strings.Contains(failure.Remedy, "application/json") {
				t.Errorf("the operator reads %q", failure.Remedy)
			}
			wantSilent(t, err)
		})
	}
}
