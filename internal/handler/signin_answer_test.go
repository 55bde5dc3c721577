package handler_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestProviderFaultPageOffersAnotherSignIn(t *testing.T) {
	w := newWorld(t, withSignIn())
	for _, code := range []string{"server_error", "temporarily_unavailable"} {
		b := w.browser(t)
		a := b.open(mangled(t, b.back(b.begin("/x"), alice), map[string][]string{"code": nil, "error": {code}, "error_description": {"The database sleeps."}}))
		a.shows(t, http.StatusServiceUnavailable, "Unavailable")
		if a.header.Get("Retry-After") != "1" || !strings.Contains(a.access.Reason, `error "`+code+`", error_description "The database sleeps."`) {
			t.Errorf("Retry-After %q; the log says %s", a.header.Get("Retry-After"), a.access.Reason)
		}
		b.triesAgain(a, w.url+"/x")
	}
}

// The address comes from the browser, so the log must not believe its text.
func TestErrorOfAddressIsQuotedInLogOnly(t *testing.T) {
	w := newWorld(t, withSignIn())
	b := w.browser(t)
	text := "<b>x</b>\n\"code\":\"forged\" " + strings.Repeat("long ", 2000)
	a := b.open(mangled(t, b.back(b.begin("/x"), alice), map[string][]string{"error": {"made_up"}, "error_description": {text}}))
	a.shows(t, http.StatusBadRequest, "provider_refused")
	if !strings.Contains(a.access.Reason, `"<b>x</b>\n\"code\":\"forged\" long`) || len(a.access.Reason) > 600 {
		t.Errorf("the log says %s", a.access.Reason)
	}
	if strings.Contains(a.page.message, "forged") || strings.Contains(a.page.message, "made_up") {
		t.Errorf("the page says %s", a.page.message)
	}
}
