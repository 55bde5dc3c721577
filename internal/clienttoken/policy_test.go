package clienttoken_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/clienttoken"
)

// verdict is a policy's answer for some actions.
type verdict struct {
	allowed bool
	actions []string
}

func allow(actions ...string) verdict { return verdict{allowed: true, actions: actions} }

func deny(actions ...string) verdict { return verdict{actions: actions} }

func TestPolicyAllowsOnlyNamedActions(t *testing.T) {
	tests := []struct {
		policy   string // ALLOWED_ACTIONS
		verdicts []verdict
	}{
		{"customer.read", []verdict{
			allow("customer.read"),
			deny("customer.update", "customer.create", "customer.documents.read", "beneficialowners.read"),
		}},
		{"customer.documents.create,customer.documents.read", []verdict{
			allow("customer.documents.create", "customer.documents.read"),
			deny("customer.read", "customer.create", "beneficialowner.documents.create"),
		}},
		{" customer.read , customer.update\t", []verdict{
			allow("customer.read", "customer.update"),
		}},
		{"customer.read,customer.read", []verdict{
			allow("customer.read"),
		}},
		{"dwolla-customer-create", []verdict{
			allow("customer.create"),
			deny("customer.read", "customer.update"),
		}},
		{"dwolla-customer-update", []verdict{
			allow("customer.read", "customer.update"),
			deny("customer.create"),
		}},
		{"dwolla-personal-vcr", []verdict{
			allow("customer.create", "customer.read", "customer.update", "customer.documents.create"),
			deny("businessclassifications.read", "customer.documents.read"),
		}},
		{"dwolla-business-vcr", []verdict{
			allow("customer.create", "customer.read", "customer.update", "customer.documents.create", "businessclassifications.read"),
			deny("beneficialowners.create", "customer.documents.read"),
		}},
		{"dwolla-beneficial-owners", []verdict{
			allow("beneficialowners.create", "beneficialowners.read", "beneficialowners.update"),
			allow("beneficialowners.delete", "beneficialowner.delete"), // one action, two spellings
			allow("beneficialownership.read", "beneficialownership.certify", "beneficialowner.documents.create"),
			allow("customer.read", "customer.update"),
			deny("customer.create", "customer.documents.create"),
		}},
		{"dwolla-document-upload", []verdict{
			allow("customer.read", "customer.documents.create", "customer.documents.read"),
			allow("beneficialowners.read", "beneficialowner.documents.create"),
			deny("beneficialowners.delete", "beneficialowner.delete", "customer.update"),
		}},
		{"dwolla-funding-source-create", []verdict{
			allow("customer.fundingsources.create", "customer.microdeposits.create"),
			deny("customer.fundingsources.read", "customer.microdeposits.verify"),
		}},
		{"dwolla-micro-deposits-verify", []verdict{
			allow("customer.fundingsources.read", "customer.microdeposits.verify"),
			deny("customer.fundingsources.create", "customer.microdeposits.create"),
		}},
		{"dwolla-balance-display", []verdict{
			allow("customer.fundingsources.read"),
			deny("customer.transfers.send", "customer.fundingsources.create"),
		}},
		{"dwolla-customer-update,businessclassifications.read,dwolla-balance-display", []verdict{
			allow("customer.read", "customer.update"),
			allow("businessclassifications.read"),
			allow("customer.fundingsources.read"),
			deny("customer.create", "customer.transfers.send"),
		}},
		{"beneficialowners.delete", []verdict{
			allow("beneficialowners.delete", "beneficialowner.delete"),
			deny("beneficialowners.create", "beneficialowners.read"),
		}},
		{"beneficialowner.delete", []verdict{
			allow("beneficialowners.delete", "beneficialowner.delete"),
			deny("beneficialowner.documents.create"),
		}},
	}
	for _, test := range tests {
		t.Run(test.policy, func(t *testing.T) {
			checkVerdicts(t, policy(t, strings.Split(test.policy, ",")...), test.verdicts)
		})
	}
}

// checkVerdicts also requires p to deny every other action.
func checkVerdicts(t *testing.T, p clienttoken.FixedPolicy, verdicts []verdict) {
	t.Helper()
	want := map[string]bool{}
	for _, v := range verdicts {
		for _, a := range v.actions {
			want[a] = v.allowed
		}
	}
	for _, a := range append(slices.Clone(documentedActions), "", "customer.READ", "unheard.of") {
		if got := allowedBy(t, p, alice).Allows(clienttoken.Action(a)); got != want[a] {
			t.Errorf("Allows(%q) = %t, want %t", a, got, want[a])
		}
	}
}

func TestPolicyAllowsNothingByDefault(t *testing.T) {
	refused, err := clienttoken.ParsePolicy([]string{"customer.read", "customer.reed"})
	if err == nil {
		t.Fatal("customer.reed was accepted")
	}
	for name, p := range map[string]clienttoken.FixedPolicy{"the zero Policy": {}, "a Policy beside an error": refused} {
		for _, a := range clienttoken.Actions() {
			if allowedBy(t, p, alice).Allows(a) {
				t.Errorf("%s allows %s", name, a)
			}
		}
		if actions, components := allowedBy(t, p, alice).Actions(), allowedBy(t, p, alice).Components(); len(actions)+len(components) != 0 {
			t.Errorf("%s lists %v and %v", name, actions, components)
		}
	}
}

func TestPolicyRefusesAnEmptyList(t *testing.T) {
	for _, names := range [][]string{nil, {}, {""}, {" "}, {"customer.read", ""}} {
		if _, err := clienttoken.ParsePolicy(names); err == nil {
			t.Errorf("ParsePolicy(%q) gives no error", names)
		}
	}
	_, err := clienttoken.ParsePolicy(nil)
	mentions(t, err, "nothing would be allowed")
}

func TestPolicyRefusesUnknownNames(t *testing.T) {
	for _, name := range []string{"customer.reed", "Customer.Read", "dwolla-customer", "*", "customer.*", "all"} {
		_, err := clienttoken.ParsePolicy([]string{name})
		mentions(t, err, `"`+name+`"`)
		mentions(t, err, documentedActions...)
		for _, c := range documentedComponents {
			mentions(t, err, c.element)
		}
	}
}

func TestPolicyReportsAllFaultsAtOnce(t *testing.T) {
	_, err := clienttoken.ParsePolicy([]string{
		"customer.reed", "customer.read", "dwolla-payin", "dwolla-elsewhere", "dwolla-account-opening",
	})
	mentions(t, err, `"customer.reed"`, "dwolla-payin cannot", `"dwolla-elsewhere"`, "dwolla-account-opening cannot")
	if strings.Contains(err.Error(), `"customer.read"`) {
		t.Errorf("the error blames customer.read: %v", err)
	}
}

func TestPolicyRefusesToMoveMoney(t *testing.T) {
	for _, name := range []string{"customer.transfers.send", "dwolla-payin", " dwolla-payin "} {
		for _, names := range [][]string{{name}, {"customer.read", name}, {name, "dwolla-balance-display"}} {
			p, err := clienttoken.ParsePolicy(names)
			mentions(t, err, strings.TrimSpace(name)+" cannot be allowed",
				"customer.transfers.send", "money", "amount", "destination", "browser")
			if allowedBy(t, p, alice).Allows(clienttoken.ActionCustomerTransfersSend) {
				t.Errorf("the Policy of %q allows customer.transfers.send", names)
			}
		}
	}
}

func TestPolicyRefusesUndocumentedComponent(t *testing.T) {
	_, err := clienttoken.ParsePolicy([]string{"dwolla-account-opening"})
	mentions(t, err, "dwolla-account-opening cannot be allowed", "does not document")
}

func TestAllowedListsActionsAndComponents(t *testing.T) {
	tests := []struct {
		policy              []string
		actions, components []string
	}{
		{
			[]string{"customer.read"},
			[]string{"customer.read"},
			nil,
		},
		{
			[]string{"customer.update", "customer.read"},
			[]string{"customer.read", "customer.update"}, // in the order of Actions, not of the policy
			[]string{"dwolla-customer-update"},
		},
		{
			[]string{"dwolla-micro-deposits-verify"},
			[]string{"customer.fundingsources.read", "customer.microdeposits.verify"},
			[]string{"dwolla-micro-deposits-verify", "dwolla-balance-display"},
		},
		{
			[]string{"dwolla-personal-vcr", "businessclassifications.read"},
			[]string{
				"customer.create", "customer.read", "customer.update", "customer.documents.create",
				"businessclassifications.read",
			},
			[]string{"dwolla-customer-create", "dwolla-customer-update", "dwolla-personal-vcr", "dwolla-business-vcr"},
		},
		{
			[]string{"beneficialowner.delete"},
			[]string{"beneficialowners.delete", "beneficialowner.delete"},
			nil,
		},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.policy, ","), func(t *testing.T) {
			p := policy(t, test.policy...)
			if diff := cmp.Diff(test.actions, words(allowedBy(t, p, alice).Actions())); diff != "" {
				t.Errorf("Actions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.components, words(allowedBy(t, p, alice).Components())); diff != "" {
				t.Errorf("Components (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllowedNeverListsPayIn(t *testing.T) {
	p := policyOfEverything(t)
	if slices.Contains(allowedBy(t, p, alice).Actions(), clienttoken.ActionCustomerTransfersSend) {
		t.Error("customer.transfers.send is listed")
	}
	for _, c := range []clienttoken.Component{clienttoken.ComponentPayIn, clienttoken.ComponentAccountOpening} {
		if slices.Contains(allowedBy(t, p, alice).Components(), c) {
			t.Errorf("%s is listed", c)
		}
	}
	if got, want := len(allowedBy(t, p, alice).Components()), len(documentedComponents)-2; got != want {
		t.Errorf("%d components are listed, want %d", got, want)
	}
}

// FuzzParsePolicy looks for a list that moves money or allows an undocumented
// action.
func FuzzParsePolicy(f *testing.F) {
	for _, s := range []string{
		"", ",", "customer.read", "customer.transfers.send", "dwolla-payin", "dwolla-account-opening",
		"customer.read,dwolla-payin", "customer.transfers.send ", "CUSTOMER.TRANSFERS.SEND", "dwolla-business-vcr",
		"beneficialowner.delete", "customer.read\x00,customer.transfers.send", " dwolla-payin\u00a0", "\u2028customer.read",
		strings.Join(documentedActions, ","),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		names := strings.Split(list, ",")
		p, err := clienttoken.ParsePolicy(names)
		if allowedBy(t, p, alice).Allows(clienttoken.ActionCustomerTransfersSend) {
			t.Fatalf("%q allows customer.transfers.send", list)
		}
		actions := allowedBy(t, p, alice).Actions()
		if (err == nil) == (len(actions) == 0) {
			t.Fatalf("%q allows %v with the error %v", list, actions, err)
		}
		if err != nil {
			return
		}
		var named []string
		for _, name := range names {
			named = append(named, documentedAs(strings.TrimSpace(name))...)
		}
		checkVerdicts(t, p, []verdict{allow(named...)})
	})
}

// documentedAs lists the actions of one word in ALLOWED_ACTIONS, by the
// documented table alone.
func documentedAs(word string) []string {
	actions := []string{word}
	for _, c := range documentedComponents {
		if c.element == word {
			actions = slices.Clone(c.actions)
		}
	}
	if slices.Contains(actions, "beneficialowners.delete") || slices.Contains(actions, "beneficialowner.delete") {
		actions = append(actions, "beneficialowners.delete", "beneficialowner.delete")
	}
	return actions
}
