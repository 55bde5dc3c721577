package dwolla_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/emulator"
)

func TestGetCustomerReadsStatusAndCorrelationID(t *testing.T) {
	w := start(t)
	full := w.customer(t, emulator.Customer{Status: "suspended", CorrelationID: "dg1.abc"})
	plain := w.customer(t, emulator.Customer{ID: strings.ToUpper(someCustomer)})
	for _, want := range []clienttoken.Customer{
		{URL: full, Status: "suspended", CorrelationID: "dg1.abc"},
		{URL: plain, Status: "unverified"},
		{URL: w.customerURL(t, strings.ToUpper(someCustomer)), Status: "unverified"},
	} {
		got, err := w.client.GetCustomer(t.Context(), want.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestCustomerWithoutCorrelationIDHasNone(t *testing.T) {
	for _, body := range []string{`{"id":"` + strings.ToUpper(someCustomer) + `","status":"verified"}`, `{"id":"` + someCustomer + `","status":"verified","correlationId":null}`} {
		w := startWith(t, setup{api: answers(http.StatusOK, body)})
		want := clienttoken.Customer{URL: w.customerURL(t, someCustomer), Status: clienttoken.StatusVerified}
		if got, err := w.client.GetCustomer(t.Context(), want.URL); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func TestHiddenCustomerIsUnknown(t *testing.T) {
	w := start(t)
	nobody := w.customerURL(t, someCustomer)
	check := func(status int, code string) {
		t.Helper()
		_, err := w.client.GetCustomer(t.Context(), nobody)
		if !errors.Is(err, clienttoken.ErrUnknownCustomer) {
			t.Errorf("%v, want ErrUnknownCustomer", err)
		}
		wantFault(t, fault(t, err), "get_customer", status, code)
		_, err = w.client.ListBeneficialOwners(t.Context(), nobody)
		w.wantFailure(t, err, clienttoken.UpstreamError)
		wantFault(t, fault(t, err), "list_beneficial_owners", status, code)
	}
	check(http.StatusNotFound, "NotFound")
	w.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: http.StatusForbidden})
	w.InjectFault(emulator.OpListBeneficialOwners, emulator.Fault{Status: http.StatusForbidden})
	check(http.StatusForbidden, "Forbidden")
}

// TestRefusedAccessTokenDoesNotHideCustomers, whatever the codes are.
func TestRefusedAccessTokenDoesNotHideCustomers(t *testing.T) {
	for status, code := range map[int]string{http.StatusNotFound: "NotFound", http.StatusForbidden: "Forbidden"} {
		w := start(t)
		customer := w.customer(t, emulator.Customer{})
		w.InjectFault(emulator.OpToken, emulator.Fault{Status: status, Code: code})
		_, err := w.client.GetCustomer(t.Context(), customer)
		if errors.Is(err, clienttoken.ErrUnknownCustomer) {
			t.Errorf("%d %s: %v", status, code, err)
		}
		wantFault(t, fault(t, err), "token", status, code)
		w.wantFailure(t, err, clienttoken.UpstreamError)
	}
}

func TestListBeneficialOwnersListsThoseOfTheCustomer(t *testing.T) {
	w := start(t)
	customer, other := w.customer(t, emulator.Customer{}), w.customer(t, emulator.Customer{})
	want := []clienttoken.BeneficialOwnerURL{}
	for range 3 {
		want = append(want, w.ownerURL(t, w.BeneficialOwner(customer.ID())))
	}
	w.BeneficialOwner(other.ID())
	got, err := w.client.ListBeneficialOwners(t.Context(), customer)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	got, err = w.client.ListBeneficialOwners(t.Context(), w.customer(t, emulator.Customer{}))
	if err != nil || len(got) != 0 {
		t.Errorf("of a Customer without owners: %v, %v", got, err)
	}
}

func TestOwnerIDsIgnoreLetterCase(t *testing.T) {
	owner := `{"_links":{"self":{"href":"https://evil.example/beneficial-owners/` + someCustomer + `"}},"id":"` + strings.ToUpper(someOwner) + `"}`
	w := startWith(t, setup{api: answers(http.StatusOK, ownerList(someCustomer, owner))})
	got, err := w.client.ListBeneficialOwners(t.Context(), w.customerURL(t, someCustomer))
	if want := []clienttoken.BeneficialOwnerURL{w.ownerURL(t, someOwner)}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// ownerList is Dwolla's list of a Customer's owners, given as JSON objects.
func ownerList(customerID string, owners ...string) string {
	return `{"_links":{"self":{"href":"https://api-sandbox.dwolla.com/customers/` + customerID +
		`/beneficial-owners"}},"_embedded":{"beneficial-owners":[` + strings.Join(owners, ",") + `]}}`
}

func TestOwnerListMustNameItsCustomer(t *testing.T) {
	list := func(self string) string {
		return `{` + self + `"_embedded":{"beneficial-owners":[{"id":"` + someOwner + `"}]}}`
	}
	of := func(href string) string { return list(`"_links":{"self":{"href":"` + href + `"}},`) }
	const root = "https://api-sandbox.dwolla.com/customers/"
	for name, row := range map[string]struct {
		body  string
		taken bool
	}{
		"its own":                {of(root + someCustomer + "/beneficial-owners"), true},
		"in other spelling":      {of("HTTP://API-Sandbox.dwolla.com/Customers/" + strings.ToUpper(someCustomer) + "/beneficial-owners/"), true},
		"another Customer's":     {of(root + someOwner + "/beneficial-owners"), false},
		"the Customer's own":     {of(root + someCustomer), false},
		"an empty href":          {of(""), false},
		"the list's name alone":  {of("/beneficial-owners"), false},
		"another host":           {of("https://evil.example/customers/" + someCustomer + "/beneficial-owners"), false},
		"another environment":    {of("https://api.dwolla.com/customers/" + someCustomer + "/beneficial-owners"), false},
		"a page of it":           {of(root + someCustomer + "/beneficial-owners?offset=25"), false},
		"a longer path":          {of(root + someCustomer + "/beneficial-owners/x/beneficial-owners"), false},
		"a dot segment":          {of(root + someOwner + "/../" + someCustomer + "/beneficial-owners"), false},
		"no self":                {list(`"_links":{},`), false},
		"a self that is null":    {list(`"_links":{"self":null},`), false},
		"links that are null":    {list(`"_links":null,`), false},
		"no links":               {list(``), false},
		"a self without an href": {list(`"_links":{"self":{}},`), false},
	} {
		t.Run(name, func(t *testing.T) {
			w := startWith(t, setup{api: answers(http.StatusOK, row.body)})
			got, err := w.client.ListBeneficialOwners(t.Context(), w.customerURL(t, someCustomer))
			if row.taken {
				if err != nil || len(got) != 1 {
					t.Errorf("got %v, %v", got, err)
				}
				return
			}
			if got != nil {
				t.Errorf("got %v", got)
			}
			w.wantFailure(t, err, clienttoken.UpstreamError)
		})
	}
}

func TestOwnersAndCustomersThatAreNonsenseAreFailures(t *testing.T) {
	tests := map[string]string{
		"an id that is no UUID": ownerList(someCustomer, `{"id":"`+someOwner+`"}`, `{"id":"MARKER"}`),
		"an id that is a path":  ownerList(someCustomer, `{"id":"../customers/MARKER"}`),
		"no id":                 ownerList(someCustomer, `{"name":"MARKER"}`),
		"an id that is a link":  ownerList(someCustomer, `{"id":"https://api-sandbox.dwolla.com/beneficial-owners/`+someOwner+`"}`),
		"another's list":        ownerList(someOwner, `{"id":"`+someOwner+`"}`),
		"no list":               `{"_embedded":{"beneficial-owners":{"id":"MARKER"}}}`,
		"not JSON":              `MARKER`,
		"nothing":               ``,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			w := startWith(t, setup{api: answers(http.StatusOK, body)})
			owners, err := w.client.ListBeneficialOwners(t.Context(), w.customerURL(t, someCustomer))
			if owners != nil {
				t.Errorf("got %v", owners)
			}
			w.wantFailure(t, err, clienttoken.UpstreamError)
			wantFault(t, fault(t, err), "list_beneficial_owners", http.StatusOK, "")
			wantNothingOf(t, "MARKER", err)
		})
	}
	for name, body := range map[string]string{
		"not JSON": "MARKER", "wrong types": `{"status":["MARKER"]}`, "nothing": "",
		"another Customer":   `{"id":"` + someOwner + `","status":"verified","correlationId":"MARKER"}`,
		"an id that is none": `{"id":"MARKER","status":"verified"}`,
		"no id":              `{"status":"verified","correlationId":"MARKER"}`,
		"a null":             `null`,
	} {
		t.Run("Customer "+name, func(t *testing.T) {
			w := startWith(t, setup{api: answers(http.StatusOK, body)})
			got, err := w.client.GetCustomer(t.Context(), w.customerURL(t, someCustomer))
			if got != (clienttoken.Customer{}) {
				t.Errorf("got %v", got)
			}
			w.wantFailure(t, err, clienttoken.UpstreamError)
			wantNothingOf(t, "MARKER", err)
		})
	}
}

// wantFault checks the fields kept from Dwolla's answer.
func wantFault(t *testing.T, e *dwolla.Error, operation string, status int, code string) {
	t.Helper()
	if string(e.Operation) != operation || e.Status != status || e.Code != code {
		t.Errorf("kept %s, %d, %q, want %s, %d, %q", e.Operation, e.Status, e.Code, operation, status, code)
	}
	if status != 0 && e.RequestID == "" {
		t.Error("Dwolla's request id is lost")
	}
}

// wantNothingOf looks for words of Dwolla's answer in the text of an error.
func wantNothingOf(t *testing.T, words string, err error) {
	t.Helper()
	if strings.Contains(err.Error(), words) {
		t.Errorf("Dwolla's words %q are in %v", words, err)
	}
}
