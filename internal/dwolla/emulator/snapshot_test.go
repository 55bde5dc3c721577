package emulator_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// TestSnapshotHoldsEveryResource: an emulator restored from it writes the same one.
func TestSnapshotHoldsEveryResource(t *testing.T) {
	e := emulator.New(emulator.Options{})
	business, err := e.AddCustomer(emulator.Customer{Type: "business", Status: "verified", CorrelationID: "dg1.x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddOwner(business.ID, emulator.BeneficialOwner{}); err != nil {
		t.Fatal(err)
	}
	bank, err := e.AddFundingSource(business.ID, emulator.FundingSource{Status: "unverified"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.StartMicroDeposits(bank.ID); err != nil {
		t.Fatal(err)
	}
	text, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored := emulator.New(emulator.Options{})
	if err := restored.Restore(text); err != nil {
		t.Fatal(err)
	}
	again, err := restored.Snapshot()
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("restored: %s, %v\nwant %s", again, err, text)
	}
	if _, err := restored.AddCustomer(emulator.Customer{CorrelationID: "dg1.x"}); err == nil {
		t.Error("a correlationId of the snapshot can be taken again")
	}
}

func TestRestoreRefusesOtherFiles(t *testing.T) {
	e := emulator.New(emulator.Options{})
	c, err := e.AddCustomer(emulator.Customer{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "[]", "{}", `{"account":"a"}`, `{"account":"a","customers":{}`} {
		if err := e.Restore([]byte(text)); err == nil {
			t.Errorf("%q is restored", text)
		}
	}
	if text, err := e.Snapshot(); err != nil || !strings.Contains(string(text), c.ID) {
		t.Errorf("after the refusals: %s, %v", text, err)
	}
}

func TestLinkRootStartsEveryLink(t *testing.T) {
	const root = "https://api-sandbox.dwolla.com"
	d := startWith(t, emulator.Options{LinkRoot: root})
	created := d.call(d.accessToken(), http.MethodPost, "/customers", `{"firstName":"A","lastName":"B","email":"a@example.com"}`)
	location := created.header.Get("Location")
	if created.status != http.StatusCreated || !strings.HasPrefix(location, root+"/customers/") {
		t.Fatalf("a new Customer: %d, %q", created.status, location)
	}
	found := d.call(d.accessToken(), http.MethodGet, strings.TrimPrefix(location, root), "")
	if found.status != http.StatusOK || strings.Contains(string(found.body), d.url) || !strings.Contains(string(found.body), location) {
		t.Errorf("the Customer: %d %s", found.status, found.body)
	}
}
