package clienttoken_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

// documentedComponents repeats the table on Dwolla's page: each component's
// element and actions.
var documentedComponents = []struct {
	element string
	actions []string
}{
	{"dwolla-customer-create", []string{"customer.create"}},
	{"dwolla-customer-update", []string{"customer.read", "customer.update"}},
	{"dwolla-personal-vcr", []string{
		"customer.create", "customer.read", "customer.update", "customer.documents.create",
	}},
	{"dwolla-business-vcr", []string{
		"customer.create", "customer.read", "customer.update", "customer.documents.create",
		"businessclassifications.read",
	}},
	{"dwolla-beneficial-owners", []string{
		"beneficialowners.create", "beneficialowners.read", "beneficialowners.update", "beneficialowners.delete",
		"beneficialownership.read", "beneficialownership.certify", "beneficialowner.documents.create",
		"customer.read", "customer.update",
	}},
	{"dwolla-document-upload", []string{
		"customer.read", "customer.documents.create", "customer.documents.read",
		"beneficialowners.read", "beneficialowner.documents.create",
	}},
	{"dwolla-funding-source-create", []string{"customer.fundingsources.create", "customer.microdeposits.create"}},
	{"dwolla-micro-deposits-verify", []string{"customer.fundingsources.read", "customer.microdeposits.verify"}},
	{"dwolla-balance-display", []string{"customer.fundingsources.read"}},
	{"dwolla-payin", []string{"customer.fundingsources.read", "customer.transfers.send"}},
	{"dwolla-account-opening", nil}, // not documented
}

func TestComponentsHaveTheDocumentedActions(t *testing.T) {
	var elements []string
	for _, want := range documentedComponents {
		elements = append(elements, want.element)
		c, err := clienttoken.ParseComponent(want.element)
		if err != nil || string(c) != want.element {
			t.Errorf("ParseComponent(%q) = %q, %v; want it as it came", want.element, c, err)
		}
		if diff := cmp.Diff(want.actions, words(c.Actions())); diff != "" {
			t.Errorf("%s asks for other actions than documented (-documented +code):\n%s", want.element, diff)
		}
	}
	if diff := cmp.Diff(elements, words(clienttoken.Components())); diff != "" {
		t.Errorf("Components() differs from Dwolla's documentation (-documented +code):\n%s", diff)
	}
}

func TestComponentActionsParse(t *testing.T) {
	for _, c := range clienttoken.Components() {
		for _, a := range c.Actions() {
			if _, err := clienttoken.ParseAction(string(a)); err != nil {
				t.Errorf("%s asks for an action that does not parse: %v", c, err)
			}
		}
	}
}

func TestParseComponentRefusesEveryOtherSpelling(t *testing.T) {
	for _, s := range []string{
		"", " ", "-", "dwolla-", "Dwolla-Customer-Create", "DWOLLA-PAYIN", " dwolla-payin", "dwolla-payin ",
		"dwolla-payin\n", "dwolla-pay-in", "<dwolla-payin>", "dwolla-payin-x", "xdwolla-payin", "payin",
		"customer.read", "dwolla_payin", strings.Repeat("dwolla-payin", 1<<12),
	} {
		got, err := clienttoken.ParseComponent(s)
		if err == nil || got != "" {
			t.Errorf("ParseComponent(%.40q) = %q, %v; want an error and no component", s, got, err)
		}
	}
}

func TestUnknownComponentHasNoActions(t *testing.T) {
	if got := clienttoken.Component("dwolla-other").Actions(); len(got) != 0 {
		t.Errorf("an unknown component has the actions %v", got)
	}
}

func TestComponentsIsAFreshSlice(t *testing.T) {
	clienttoken.Components()[0] = "dwolla-payin"
	if got := clienttoken.Components()[0]; got != clienttoken.ComponentCustomerCreate {
		t.Errorf("after a caller changed its slice Components()[0] = %s", got)
	}
	clienttoken.ComponentCustomerUpdate.Actions()[0] = "customer.transfers.send"
	if got := clienttoken.ComponentCustomerUpdate.Actions()[0]; got != clienttoken.ActionCustomerRead {
		t.Errorf("after a caller changed its slice the component's first action is %s", got)
	}
}
