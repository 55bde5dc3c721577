package emulator_test

import (
	"testing"

	"dropgate/internal/dwolla/emulator"
)

func TestAddOwnerRefusesInvalidValues(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{Type: "business"}).ID
	added, err := d.AddOwner(id, emulator.BeneficialOwner{FirstName: "Eve", VerificationStatus: "document"})
	if err != nil || added.FirstName != "Eve" || added.VerificationStatus != "document" || added.CustomerID != id {
		t.Errorf("got %+v and %v", added, err)
	}
	for name, bad := range map[string]emulator.BeneficialOwner{
		"id":       {ID: "42"},
		"id taken": {ID: added.ID},
		"status":   {VerificationStatus: "retry"},
	} {
		if got, err := d.AddOwner(id, bad); err == nil {
			t.Errorf("%s: added as %+v", name, got)
		}
	}
	if _, err := d.AddOwner(unknown, emulator.BeneficialOwner{}); err == nil {
		t.Error("added to an unknown Customer")
	}
}

func TestAddFundingSourceRefusesInvalidValues(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	bank, err := d.AddFundingSource(id, emulator.FundingSource{Name: "Savings", Status: "unverified", BankAccountType: "savings"})
	if err != nil || bank.Type != "bank" || bank.Name != "Savings" || bank.Status != "unverified" || bank.CustomerID != id {
		t.Errorf("got %+v and %v", bank, err)
	}
	if _, err := d.AddFundingSource(id, emulator.FundingSource{Type: "balance"}); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]emulator.FundingSource{
		"id":             {ID: "42"},
		"id taken":       {ID: bank.ID},
		"type":           {Type: "card"},
		"status":         {Status: "pending"},
		"account type":   {BankAccountType: "piggy"},
		"second balance": {Type: "balance"},
	} {
		if got, err := d.AddFundingSource(id, bad); err == nil {
			t.Errorf("%s: added as %+v", name, got)
		}
	}
	other := d.customer(emulator.Customer{}).ID
	if _, err := d.AddFundingSource(other, emulator.FundingSource{Type: "balance", Balance: "ten"}); err == nil {
		t.Error("a balance without digits was added")
	}
	if _, err := d.AddFundingSource(unknown, emulator.FundingSource{}); err == nil {
		t.Error("added to an unknown Customer")
	}
}
