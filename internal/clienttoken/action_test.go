package clienttoken_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

// documentedActions lists every action in Dwolla's table of drop-in components
// (https://developers.dwolla.com/docs/drop-in-components). The last one is a
// second spelling of beneficialowners.delete from another page.
var documentedActions = []string{
	"customer.create",
	"customer.read",
	"customer.update",
	"customer.documents.create",
	"customer.documents.read",
	"customer.fundingsources.create",
	"customer.fundingsources.read",
	"customer.microdeposits.create",
	"customer.microdeposits.verify",
	"customer.transfers.send",
	"businessclassifications.read",
	"beneficialowners.create",
	"beneficialowners.read",
	"beneficialowners.update",
	"beneficialowners.delete",
	"beneficialowner.documents.create",
	"beneficialownership.read",
	"beneficialownership.certify",
	"beneficialowner.delete",
}

func TestActionsAreTheDocumentedOnes(t *testing.T) {
	if diff := cmp.Diff(documentedActions, words(clienttoken.Actions())); diff != "" {
		t.Errorf("Actions() differs from Dwolla's documentation (-documented +code):\n%s", diff)
	}
}

func TestActionsCoverTheComponentTable(t *testing.T) {
	inTable := map[string]bool{"beneficialowner.delete": true} // on another page
	for _, c := range documentedComponents {
		for _, a := range c.actions {
			inTable[a] = true
		}
	}
	for _, a := range clienttoken.Actions() {
		if !inTable[string(a)] {
			t.Errorf("%s is an action of no documented component", a)
		}
		delete(inTable, string(a))
	}
	for a := range inTable {
		t.Errorf("the documented action %s is missing", a)
	}
}

func TestParseActionKnowsEveryDocumentedAction(t *testing.T) {
	for _, s := range documentedActions {
		got, err := clienttoken.ParseAction(s)
		if err != nil || string(got) != s {
			t.Errorf("ParseAction(%q) = %q, %v; want it as it came", s, got, err)
		}
	}
}

func TestParseActionAcceptsBothDeleteSpellings(t *testing.T) {
	for _, s := range []string{"beneficialowners.delete", "beneficialowner.delete"} {
		got, err := clienttoken.ParseAction(s)
		if err != nil || string(got) != s {
			t.Errorf("ParseAction(%q) = %q, %v; want it as it came", s, got, err)
		}
	}
}

// misspelled returns spellings of an action for a lenient parser only.
func misspelled(action string) []string {
	return []string{
		strings.ToUpper(action),
		strings.ToUpper(action[:1]) + action[1:],
		action[:len(action)-1] + strings.ToUpper(action[len(action)-1:]),
		" " + action,
		action + " ",
		"\t" + action,
		action + "\n",
		action + "\x00",
		"x" + action,
		action + "s",
		action + ".",
		"." + action,
		action + ",customer.read",
		action[:len(action)-1],
		action[1:],
		strings.ReplaceAll(action, ".", ":"),
		strings.ReplaceAll(action, ".", ".."),
		strings.ReplaceAll(action, "e", "\u0435"), // Cyrillic
		strings.ReplaceAll(action, "s", "\u017f") + "\u200b",
		strings.ReplaceAll(action, ".", "%2e"),
		`"` + action + `"`,
	}
}

func TestParseActionRefusesEveryOtherSpelling(t *testing.T) {
	for _, action := range documentedActions {
		for _, s := range misspelled(action) {
			if got, err := clienttoken.ParseAction(s); err == nil || got != "" {
				t.Errorf("ParseAction(%q) = %q, %v; want an error and no action", s, got, err)
			}
		}
	}
}

func TestParseActionRefusesUnknownActions(t *testing.T) {
	for _, s := range []string{
		"", " ", "*", "customer", "customer.", "customer.*", "customer.delete", "customer.transfers",
		"funding-source.create", "dwolla-customer-create", "null", strings.Repeat("customer.read", 1<<16),
	} {
		got, err := clienttoken.ParseAction(s)
		if err == nil || got != "" {
			t.Errorf("ParseAction(%.40q) = %q, %v; want an error and no action", s, got, err)
		}
	}
}

func TestParseActionErrorIsShort(t *testing.T) {
	for _, s := range []string{strings.Repeat("a", 1<<20), strings.Repeat("\x00", 1<<20)} {
		_, err := clienttoken.ParseAction(s)
		if err == nil {
			t.Fatal("a megabyte is an action")
		}
		if n := len(err.Error()); n > 1000 {
			t.Errorf("the error has %d bytes, so a caller decides how long a log line is", n)
		}
	}
}

func TestActionsIsAFreshSlice(t *testing.T) {
	clienttoken.Actions()[0] = "customer.transfers.send"
	if got := clienttoken.Actions()[0]; got != clienttoken.ActionCustomerCreate {
		t.Errorf("after a caller changed its slice Actions()[0] = %s", got)
	}
}
