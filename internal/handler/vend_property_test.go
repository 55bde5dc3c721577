package handler_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/dwolla/emulator"
)

// links is a directory with changeable links.
type links struct {
	mu  sync.Mutex
	own map[string]string // by user id; no entry: no Customer
}

func (l *links) set(own map[string]string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own = own
}

func (l *links) directory(api clienttoken.API) customer.Source {
	return directoryFunc(func(_ context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		id, linked := l.own[user.ID]
		if !linked {
			return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
		}
		return clienttoken.ParseCustomerID(api, id)
	})
}

// bodies draws request bodies, most of them nearly or quite right.
func bodies(w *world) *rapid.Generator[string] {
	ids := rapid.SampledFrom([]string{
		alicesID, bobsID, nobodysID, strings.ToUpper(alicesID), w.owner, w.bobs, "", alicesID + "/", alicesID + "?x",
	})
	roots := rapid.SampledFrom([]string{
		w.root, sandboxRoot, "http://api-sandbox.dwolla.com", "https://api.dwolla.com", "https://evil.example",
		"https://api-sandbox.dwolla.com@evil.example", sandboxRoot + ":443", sandboxRoot + "/x/..", "", strings.ToUpper(sandboxRoot),
	})
	collections := rapid.SampledFrom([]string{"/customers/", "/customers/", "/beneficial-owners/", "//customers/", "/customers%2F"})
	href := rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 20).Draw(t, "odd") == 0 {
			return rapid.SampledFrom([]any{nil, 7, "", []any{}, map[string]any{}, "x"}).Draw(t, "no href")
		}
		return roots.Draw(t, "root") + collections.Draw(t, "collection") + ids.Draw(t, "id")
	})
	relation := rapid.SampledFrom([]string{"customer", "customer", "customer", "beneficial-owner", "beneficial-owner", "destination", "client", "Customer"})
	linked := rapid.Custom(func(t *rapid.T) any {
		if rapid.IntRange(0, 20).Draw(t, "odd") == 0 {
			return rapid.SampledFrom([]any{nil, 7, "x", []any{}, map[string]any{"customer": nil}}).Draw(t, "no links")
		}
		all := map[string]any{}
		for range rapid.IntRange(0, 2).Draw(t, "links") {
			all[relation.Draw(t, "relation")] = map[string]any{"href": href.Draw(t, "href"), "type": "x"}
		}
		return all
	})
	actions := rapid.SampledFrom(append(clienttoken.Actions(), "Customer.read", "customer.destroy", "", "customer.read "))
	return rapid.Custom(func(t *rapid.T) string {
		request := map[string]any{"action": actions.Draw(t, "action")}
		switch rapid.IntRange(0, 5).Draw(t, "members") {
		case 0:
		case 1, 2:
			request["_links"] = linked.Draw(t, "_links")
		case 3:
			request["links"] = linked.Draw(t, "links")
		case 4:
			both := linked.Draw(t, "both")
			request["links"], request["_links"] = both, both
		default:
			request["links"], request["_links"] = linked.Draw(t, "links"), linked.Draw(t, "_links")
		}
		if rapid.IntRange(0, 3).Draw(t, "more") == 0 {
			request["amount"] = map[string]any{"currency": "USD", "value": "1.00"}
		}
		text, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		if cut := rapid.IntRange(-20*len(text), len(text)-1).Draw(t, "cut"); cut >= 0 {
			text = text[:cut]
		}
		return string(text)
	})
}

// drawLinks gives alice and bob a Customer each, or not: not always the same.
func drawLinks(t *rapid.T) map[string]string {
	own := map[string]string{}
	free := []string{alicesID, bobsID}
	for _, user := range []string{alice, bob} {
		if i := rapid.IntRange(-1, len(free)-1).Draw(t, "the Customer of "+user); i >= 0 {
			own[user] = free[i]
			free = slices.Delete(free, i, i+1)
		}
	}
	return own
}

// TestVendedTokensAreForTheUsersOwnCustomer draws users,
// links between them and Customers, and requests.
func TestVendedTokensAreForTheUsersOwnCustomer(t *testing.T) {
	directory := &links{}
	w := newWorld(t, func(s *setup) { s.directory = directory.directory })
	policy, err := clienttoken.ParsePolicy([]string{"dwolla-business-vcr", "dwolla-beneficial-owners", "dwolla-document-upload"})
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{alice: w.token(alice), bob: w.token(bob), carol: w.token(carol), nobody: ""}
	owners := map[string]string{alicesID: w.owner, bobsID: w.bobs}
	content := bodies(w)
	requests, vended := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		own := drawLinks(t)
		directory.set(own)
		for range 5 {
			user := rapid.SampledFrom([]string{alice, alice, bob, carol, nobody}).Draw(t, "user")
			before := len(w.dwolla.ClientTokens())
			if user != nobody {
				requests++
			}
			a := w.vend(t, nobody, content.Draw(t, "body"), header("Authorization", "Bearer "+tokens[user]))
			fresh := w.dwolla.ClientTokens()[before:]
			if (a.status == http.StatusOK) != (len(fresh) == 1) || len(fresh) > 1 || a.status >= 500 {
				t.Fatalf("answer %d (%s), and Dwolla vended %d tokens", a.status, a.access.Reason, len(fresh))
			}
			for _, token := range fresh {
				vended++
				checkVended(t, policy, token, own[user])
				checkOwner(t, token, owners[own[user]])
				a.audit.has(t, line{"user": user, "customer": own[user], "action": token.Action, "outcome": "vended"})
			}
		}
	})
	if audits := len(w.logs.since(0, "audit")); audits != requests {
		t.Errorf("%d audit lines for %d requests of known users", audits, requests)
	}
	if vended == 0 {
		t.Error("nothing was vended, so nothing was tried")
	}
}

// checkVended fails t unless the token is for an allowed action and names a
// user's own Customer.
func checkVended(t *rapid.T, policy clienttoken.FixedPolicy, token emulator.ClientToken, own string) {
	t.Helper()
	if !allows(policy, clienttoken.Action(token.Action)) {
		t.Fatalf("a token for %s", token.Action)
	}
	ofOwner := token.CustomerID == "" && token.BeneficialOwnerID != ""
	if token.CustomerID != own && !ofOwner {
		t.Fatalf("a token for Customer %q of a user with %q", token.CustomerID, own)
	}
	if token.Destination != "" || token.Amount != (emulator.Amount{}) {
		t.Fatalf("a token that moves money to %q", token.Destination)
	}
}

// checkOwner fails t if the token names any other beneficial owner.
func checkOwner(t *rapid.T, token emulator.ClientToken, own string) {
	t.Helper()
	if token.BeneficialOwnerID != "" && token.BeneficialOwnerID != own {
		t.Fatalf("a token for beneficial owner %s, and the user's own is %q", token.BeneficialOwnerID, own)
	}
}
