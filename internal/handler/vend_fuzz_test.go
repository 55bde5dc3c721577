package handler_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// FuzzVendBody sends any body for alice. The response is a token or a well-formed
// error, and never a 5xx. Every request to Dwolla is for alice.
func FuzzVendBody(f *testing.F) {
	shared := newWorld(f)
	for _, seed := range []string{
		``, `null`, `[]`, `{}`, `{"action":"customer.read"}`, `{"action":"customer.create"}`, `{"action":7}`,
		`{"action":"customer.read","action":"customer.update"}`, `{"action":"customer.transfers.send"}`,
		`{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/` + alicesID + `"}}}`,
		`{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/` + bobsID + `"}}}`,
		`{"action":"customer.read","links":{"customer":{"href":"http://api-sandbox.dwolla.com/customers/` + strings.ToUpper(alicesID) + `/","type":"x"}}}`,
		`{"action":"customer.read","links":{"customer":{"href":"https://api-sandbox.dwolla.com@evil.example/customers/` + alicesID + `"}}}`,
		`{"action":"beneficialowners.read","links":{"beneficial-owner":{"href":"https://api-sandbox.dwolla.com/beneficial-owners/` + bobsID + `"}}}`,
		`{"action":"customer.read","links":{"destination":{"href":"https://x.example"}},"amount":{"currency":"USD","value":"1.00"}}`,
		`{"action":"customer.read","links":{"a/b~c.d[0]":null}}`, `{"action":"customer.read\ud800"}`, "\ufeff{}", "{\"action\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	policy, err := clienttoken.ParsePolicy([]string{"dwolla-business-vcr", "dwolla-beneficial-owners", "dwolla-document-upload"})
	if err != nil {
		f.Fatal(err)
	}
	token := header("Authorization", "Bearer "+shared.token(alice))
	f.Fuzz(func(t *testing.T, content []byte) {
		w := *shared
		w.tb = t
		a := w.vend(t, nobody, string(content), token)
		defer w.logs.forget()
		if a.status >= http.StatusInternalServerError {
			t.Fatalf("answer %d %s (%s)", a.status, a.body, a.access.Reason)
		}
		if a.status == http.StatusOK {
			if len(a.sent) == 0 {
				t.Fatal("a token from nowhere")
			}
			a.vended(t, a.sent[0])
		} else if len(a.sent) != 0 {
			t.Fatalf("answer %d, and Dwolla got %q", a.status, a.sent)
		}
		for _, sent := range a.sent {
			checkSent(t, &w, policy, sent)
		}
	})
}

// checkSent fails t unless the request to Dwolla is permitted for alice.
func checkSent(t *testing.T, w *world, policy clienttoken.FixedPolicy, sent string) {
	t.Helper()
	type link struct {
		Href string `json:"href"`
	}
	var got struct {
		Action string `json:"action"`
		Links  struct {
			Customer *link `json:"customer"`
			Owner    *link `json:"beneficial-owner"`
		} `json:"_links"`
	}
	decoder := json.NewDecoder(strings.NewReader(sent))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatalf("Dwolla got %q: %v", sent, err)
	}
	if !allows(policy, clienttoken.Action(got.Action)) ||
		got.Links.Customer == nil && got.Links.Owner == nil ||
		got.Links.Customer != nil && got.Links.Customer.Href != w.root+"/customers/"+alicesID ||
		got.Links.Owner != nil && got.Links.Owner.Href != w.root+"/beneficial-owners/"+w.owner {
		t.Fatalf("Dwolla got %q", sent)
	}
}
