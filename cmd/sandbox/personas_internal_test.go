package main

import (
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

func TestPersonasFitTheEmulator(t *testing.T) {
	dwolla := emulator.New(emulator.Options{})
	t.Cleanup(dwolla.Close)
	people := demoPersonas(options{alice: demoAlice, bob: demoBob})
	if err := addPersonas(dwolla, people); err != nil {
		t.Fatal(err)
	}
	for _, p := range people {
		if has := p.Customer != ""; has == (p.User == "carol") {
			t.Errorf("%s has the Customer %q", p.User, p.Customer)
		}
		if p.Name == "" || p.Description == "" || p.policy == "" {
			t.Errorf("%s lacks a name, a description or a policy", p.User)
		}
	}
}

func TestTabsSuitKnownUsers(t *testing.T) {
	r := roster{personas: demoPersonas(options{})}
	for _, tab := range tabs() {
		if tab.Suits != newUser && !r.has(tab.Suits) {
			t.Errorf("the tab %s suits %s, who does not exist", tab.ID, tab.Suits)
		}
		if _, err := clienttoken.ParseComponent("dwolla-" + tab.ID); err != nil {
			t.Errorf("the tab %s: %v", tab.ID, err)
		}
	}
}

func TestDwollasSandboxHasNoDemoCustomers(t *testing.T) {
	for _, p := range atDwolla(demoPersonas(options{alice: "mine", bob: "also mine"})) {
		if own := p.User == "alice" || p.User == "bob"; own != (p.Customer != "") {
			t.Errorf("%s has the Customer %q", p.User, p.Customer)
		}
	}
}

func TestNoPolicyLetsMoneyMove(t *testing.T) {
	for _, name := range []policyName{policyAll, policyReadOnly, policyNone, "unknown"} {
		allowed := name.allowed()
		if allowed.Allows(clienttoken.ActionCustomerTransfersSend) {
			t.Errorf("%s allows %s", name, clienttoken.ActionCustomerTransfersSend)
		}
		for _, action := range allowed.Actions() {
			if name != policyAll && !strings.HasSuffix(string(action), ".read") {
				t.Errorf("%s allows %s", name, action)
			}
		}
	}
	if got := len(policyAll.allowed().Actions()); got != len(clienttoken.Actions())-1 {
		t.Errorf("all allows %d actions", got)
	}
}

func TestUnknownUserMayDoNothing(t *testing.T) {
	s := newPolicySwitch(demoPersonas(options{}))
	allowed, err := s.For(t.Context(), clienttoken.User{ID: "mallory"})
	if err != nil || len(allowed.Actions()) != 0 {
		t.Errorf("mallory may do %v, %v", allowed.Actions(), err)
	}
}

func TestFaultsNeedTheEmulator(t *testing.T) {
	var f faults
	if err := f.set(faultOutage); err == nil || len(f.choices()) != 0 || f.now() != faultNone {
		t.Errorf("without an emulator: %v, %v, %s", err, f.choices(), f.now())
	}
}
