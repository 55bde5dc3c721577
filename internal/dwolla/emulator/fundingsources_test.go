package emulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

type sourceList struct {
	Embedded struct {
		Sources []struct {
			resource

			Embedded struct {
				Balance struct{ Balance emulator.Amount }
			} `json:"_embedded"`
		} `json:"funding-sources"`
	} `json:"_embedded"`
	Total int
}

func (d *dwolla) source(customerID string, f emulator.FundingSource) emulator.FundingSource {
	d.t.Helper()
	added, err := d.AddFundingSource(customerID, f)
	if err != nil {
		d.t.Fatal(err)
	}
	return added
}

func TestFundingSourceRules(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	suspended := d.customer(emulator.Customer{Status: "suspended"}).ID
	path := "/customers/" + id + "/funding-sources"
	d.create(path, bank().with("accountNumber", "4444"))
	tests := map[string]struct {
		path, body string
		status     int
		problem    string
	}{
		"no routing number":        {path, bank().with("routingNumber", nil).String(), 400, "Required /routingNumber"},
		"routing number's digits":  {path, bank().with("routingNumber", "22222222").String(), 400, "Invalid /routingNumber"},
		"routing number's sum":     {path, bank().with("routingNumber", "222222227").String(), 400, "Invalid /routingNumber"},
		"only zeros":               {path, bank().with("routingNumber", "000000000").String(), 400, "Invalid /routingNumber"},
		"letters":                  {path, bank().with("accountNumber", "12345x").String(), 400, "Invalid /accountNumber"},
		"short account number":     {path, bank().with("accountNumber", "123").String(), 400, "Invalid /accountNumber"},
		"long account number":      {path, bank().with("accountNumber", strings.Repeat("1", 18)).String(), 400, "Invalid /accountNumber"},
		"no account type":          {path, bank().with("bankAccountType", nil).String(), 400, "Required /bankAccountType"},
		"another account type":     {path, bank().with("bankAccountType", "piggy").String(), 400, "Invalid /bankAccountType"},
		"no name":                  {path, bank().with("name", nil).String(), 400, "Required /name"},
		"not JSON":                 {path, "x", 400, "BadRequest"},
		"same account":             {path, bank().with("accountNumber", "4444").with("name", "Again").String(), 400, "DuplicateResource"},
		"unknown Customer":         {"/customers/" + unknown + "/funding-sources", bank().String(), 404, "NotFound"},
		"suspended Customer":       {"/customers/" + suspended + "/funding-sources", bank().String(), 403, "Forbidden"},
		"rename to a script":       {d.create(path, bank().with("accountNumber", "5555")), `{"name":"<script>"}`, 400, "Invalid /name"},
		"change of a balance":      {"/funding-sources/" + d.source(id, emulator.FundingSource{Type: "balance"}).ID, `{"name":"x"}`, 403, "InvalidResourceState"},
		"change of an unknown one": {"/funding-sources/" + unknown, `{"name":"x"}`, 404, "NotFound"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d.app(http.MethodPost, test.path, test.body).wantProblem(t, test.status, test.problem)
		})
	}
}

func TestABankIsAddedReadAndRemoved(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	m := d.subscribe()
	path := d.create("/customers/"+id+"/funding-sources", bank())
	added := d.read(path)
	if added.Status != "unverified" || added.Type != "bank" || added.Name != "Ada's checking" {
		t.Errorf("got %+v", added)
	}
	added.wantLinks(t, "self customer remove initiate-micro-deposits",
		"self", "customer", "remove", "balance", "initiate-micro-deposits", "verify-micro-deposits")
	if got := d.app(http.MethodPost, path, `{"name":"Ada's other name"}`); got.status != http.StatusOK {
		t.Errorf("renaming: %d %s", got.status, got.body)
	}
	if got := d.app(http.MethodPost, path, `{"removed":true}`); got.status != http.StatusOK {
		t.Errorf("removing: %d %s", got.status, got.body)
	}
	d.app(http.MethodPost, path, `{"removed":true}`).wantProblem(t, 403, "InvalidResourceState")
	if got := d.read(path); !got.Removed || got.Name != "Ada's other name" {
		t.Errorf("got %+v", got)
	}
	d.create("/customers/"+id+"/funding-sources", bank()) // is no duplicate any more
	d.await()
	want := []string{
		"customer_funding_source_added", "customer_funding_source_added",
		"customer_funding_source_removed", "customer_funding_source_updated",
	}
	if got := slices.Sorted(slices.Values(m.topics(t))); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestFundingSourcesAreListedBalanceFirst(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	first := d.source(id, emulator.FundingSource{Name: "First"}).ID
	d.source(id, emulator.FundingSource{Name: "Gone", Removed: true})
	balance := d.source(id, emulator.FundingSource{Type: "balance", Balance: "12.34"}).ID
	list := func(query string) sourceList {
		var list sourceList
		d.call(d.vend("customer.fundingsources.read", id), http.MethodGet, "/customers/"+id+"/funding-sources"+query, "").
			decode(t, http.StatusOK, &list)
		return list
	}
	kept := list("?removed=false&embed=balance")
	if len(kept.Embedded.Sources) != 2 || kept.Total != 2 ||
		kept.Embedded.Sources[0].ID != balance || kept.Embedded.Sources[1].ID != first ||
		kept.Embedded.Sources[0].Embedded.Balance.Balance != (emulator.Amount{Currency: "USD", Value: "12.34"}) {
		t.Errorf("got %+v", kept)
	}
	if all := list(""); all.Total != 3 || all.Embedded.Sources[0].Embedded.Balance.Balance.Value != "" {
		t.Errorf("got %+v", all)
	}
	var alone struct{ Balance, Total emulator.Amount }
	d.call(d.vend("customer.fundingsources.read", id), http.MethodGet, "/funding-sources/"+balance+"/balance", "").
		decode(t, http.StatusOK, &alone)
	if alone.Balance.Value != "12.34" || alone.Total.Value != "12.34" {
		t.Errorf("got %+v", alone)
	}
	d.app(http.MethodGet, "/funding-sources/"+first+"/balance", "").wantProblem(t, 404, "NotFound")
}

func deposits(first, second string) string {
	amount := func(value string) members { return members{"value": value, "currency": "USD"} }
	return members{"amount1": amount(first), "amount2": amount(second)}.String()
}

func TestMicroDepositsVerifyABank(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	source := "/funding-sources/" + d.source(id, emulator.FundingSource{Status: "unverified"}).ID
	path := source + "/micro-deposits"
	m := d.subscribe()
	d.app(http.MethodGet, path, "").wantProblem(t, 404, "NotFound")
	d.app(http.MethodPost, path, deposits("0.01", "0.02")).wantProblem(t, 404, "NotFound")
	r := d.request(d.vend("customer.microdeposits.create", id), http.MethodPost, path, "")
	r.Header.Del("Content-Type")
	if got := d.location(d.send(r)); got != path {
		t.Errorf("Location %s", got)
	}
	d.app(http.MethodPost, path, `{}`).wantProblem(t, 400, "MaxNumberOfResources")
	if got := d.read(path); got.Status != "processed" {
		t.Errorf("status %q", got.Status)
	}
	names := []string{"initiate-micro-deposits", "verify-micro-deposits", "failed-verification-micro-deposits"}
	d.read(source).wantLinks(t, "verify-micro-deposits", names...)
	d.app(http.MethodPost, path, deposits("0.10", "0.01")).wantProblem(t, 400, "Invalid /amount1/value")
	d.app(http.MethodPost, path, members{"amount1": members{"value": "0.01", "currency": "USD"}}.String()).wantProblem(t, 400, "Required /amount2")
	d.app(http.MethodPost, path, deposits("0.09", "0.09")).wantProblem(t, 400, "Invalid /amount1")
	if got := d.call(d.vend("customer.microdeposits.verify", id), http.MethodPost, path, deposits("0.03", "0.09")); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	verified := d.read(source)
	verified.wantLinks(t, "", names...)
	if verified.Status != "verified" {
		t.Errorf("status %q", verified.Status)
	}
	d.app(http.MethodPost, path, deposits("0.03", "0.09")).wantProblem(t, 403, "InvalidResourceState")
	d.await()
	want := []string{"customer_funding_source_verified", "customer_microdeposits_added", "customer_microdeposits_completed"}
	if got := slices.Sorted(slices.Values(m.topics(t))); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestMicroDepositsAllowThreeAttempts(t *testing.T) {
	d := start(t)
	source := d.source(d.customer(emulator.Customer{}).ID, emulator.FundingSource{Status: "unverified"}).ID
	if err := d.StartMicroDeposits(source); err != nil {
		t.Fatal(err)
	}
	m := d.subscribe()
	path := "/funding-sources/" + source + "/micro-deposits"
	for range 3 {
		d.app(http.MethodPost, path, deposits("0.09", "0.09")).wantProblem(t, 400, "Invalid /amount1")
	}
	d.app(http.MethodPost, path, deposits("0.01", "0.02")).wantProblem(t, 403, "InvalidResourceState")
	d.read("/funding-sources/"+source).wantLinks(t, "failed-verification-micro-deposits",
		"verify-micro-deposits", "failed-verification-micro-deposits")
	d.await()
	if got := m.topics(t); !slices.Equal(got, []string{"customer_microdeposits_maxattempts"}) {
		t.Errorf("got %v", got)
	}
	balance := d.source(d.customer(emulator.Customer{}).ID, emulator.FundingSource{Type: "balance"}).ID
	d.app(http.MethodPost, "/funding-sources/"+balance+"/micro-deposits", `{}`).wantProblem(t, 403, "InvalidResourceState")
	if d.StartMicroDeposits(balance) == nil || d.StartMicroDeposits(unknown) == nil {
		t.Error("micro-deposits to anything but a bank are no error")
	}
}

func TestACustomersFundingSourcesAreBounded(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	for range 50 {
		d.source(id, emulator.FundingSource{})
	}
	d.app(http.MethodPost, "/customers/"+id+"/funding-sources", bank().String()).wantProblem(t, 400, "MaxNumberOfResources")
}
