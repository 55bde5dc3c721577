package handler_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/customer/customerdb"
)

// filled puts this world's values into a template.
func (w *world) filled(template string) string {
	return strings.NewReplacer(
		"ROOT", w.root, "ALICE", alicesID, "BOB", bobsID, "OWNER", w.owner, "BOBS-OWNER", w.bobs,
		"UPPER", strings.ToUpper(alicesID),
	).Replace(template)
}

// The exact requests to Dwolla for alice.
const (
	sentRead   = `{"action":"customer.read","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`
	sentUpdate = `{"action":"customer.update","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`
)

func TestVendForEachKindOfAction(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct{ name, user, body, sent string }{
		{"of a Customer, which is added", alice, `{"action":"customer.read"}`, sentRead},
		{
			"of a Customer that is named by URL in the claim", bob, `{"action":"customer.read"}`,
			`{"action":"customer.read","_links":{"customer":{"href":"ROOT/customers/BOB"}}}`,
		},
		{
			"of a Customer's documents", alice, `{"action":"customer.documents.create"}`,
			`{"action":"customer.documents.create","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`,
		},
		{"create, by a user without a Customer", carol, `{"action":"customer.create"}`, `{"action":"customer.create"}`},
		{"create, with empty links", carol, `{"action":"customer.create","links":{}}`, `{"action":"customer.create"}`},
		{"classifications, without a Customer", carol, `{"action":"businessclassifications.read"}`, `{"action":"businessclassifications.read"}`},
		{
			"classifications, with a Customer", alice, `{"action":"businessclassifications.read"}`,
			`{"action":"businessclassifications.read","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`,
		},
		{
			"of all beneficial owners", alice, `{"action":"beneficialowners.read"}`,
			`{"action":"beneficialowners.read","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`,
		},
		{
			"of one beneficial owner", alice,
			`{"action":"beneficialowner.documents.create","_links":{"beneficial-owner":{"href":"https://api-sandbox.dwolla.com/beneficial-owners/OWNER"}}}`,
			`{"action":"beneficialowner.documents.create","_links":{"beneficial-owner":{"href":"ROOT/beneficial-owners/OWNER"}}}`,
		},
		{
			"in the other documented spelling", alice, `{"action":"beneficialowner.delete"}`,
			`{"action":"beneficialowner.delete","_links":{"customer":{"href":"ROOT/customers/ALICE"}}}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := w.vend(t, row.user, w.filled(row.body))
			a.vended(t, w.filled(row.sent))
		})
	}
}

func TestVendAcceptsEverySpellingOfTheCustomer(t *testing.T) {
	w := newWorld(t)
	own := `{"customer":{"href":"https://api-sandbox.dwolla.com/customers/ALICE"}}`
	named := func(href string) string {
		return `{"action":"customer.read","_links":{"customer":{"href":"` + href + `"}}}`
	}
	for name, content := range map[string]string{
		"links only":              `{"action":"customer.read","links":` + own + `}`,
		"_links only":             `{"action":"customer.read","_links":` + own + `}`,
		"both, equal":             `{"action":"customer.read","links":` + own + `,"_links":` + own + `}`,
		"both, one of them null":  `{"action":"customer.read","links":` + own + `,"_links":null}`,
		"neither":                 `{"action":"customer.read"}`,
		"both null":               `{"action":"customer.read","links":null,"_links":null}`,
		"a link that is null":     `{"action":"customer.read","links":{"customer":null,"beneficial-owner":null}}`,
		"both empty":              `{"action":"customer.read","links":{},"_links":{}}`,
		"with types":              `{"action":"customer.read","links":{"customer":{"href":"ROOT/customers/ALICE","type":"application/vnd.dwolla.v1.hal+json","resource-type":"customer"}}}`,
		"http":                    named("http://api-sandbox.dwolla.com/customers/ALICE"),
		"upper-case id":           named("https://api-sandbox.dwolla.com/customers/UPPER"),
		"upper-case host":         named("HTTPS://API-SANDBOX.DWOLLA.COM/customers/ALICE"),
		"trailing slash":          named("https://api-sandbox.dwolla.com/customers/ALICE/"),
		"the configured root":     named("ROOT/customers/ALICE"),
		"escapes of JSON":         named(`https:\/\/api-sandbox.dwolla.com\/customers\/\u0037` + alicesID[1:]),
		"unknown members":         `{"action":"customer.read","_embedded":{"a":[1,{"b":null}]},"foo":"bar","token":"x"}`,
		"members in another case": `{"action":"customer.read","Action":"customer.transfers.send","LINKS":{"destination":{"href":"https://x.example"}}}`,
		"an amount":               `{"action":"customer.read","amount":{"currency":"USD","value":"1.00"}}`,
		"a blob and a customerId": `{"action":"customer.read","blob":"x","customerId":"BOB","customer":"BOB"}`,
		"white space around":      " \t\r\n" + `{ "action" : "customer.read" }` + " \t\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, w.filled(content))
			a.vended(t, w.filled(sentRead))
		})
	}
}

func TestVendAcceptsExactly64KiB(t *testing.T) {
	w := newWorld(t)
	content := `{"action":"customer.read","padding":"`
	content += strings.Repeat("x", 64<<10-len(content)-2) + `"}`
	a := w.vend(t, alice, content)
	a.vended(t, w.filled(sentRead))
}

func TestVendIsAudited(t *testing.T) {
	w := newWorld(t)
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	token := a.vended(t, w.filled(sentRead))
	sum := sha256.Sum256([]byte(token))
	a.audit.has(t, line{
		"log": "audit", "mode": "bearer", "user": alice, "customer": alicesID, "action": "customer.read",
		"outcome": "vended", "reason": "", "token_sha256_prefix": hex.EncodeToString(sum[:8]),
	})
	if a.audit.text("dwolla_request_id") == "" {
		t.Error("the audit line has no request id of Dwolla's")
	}
	a.access.has(t, accessLine{Log: "access", Method: http.MethodPost, Route: "/client-tokens", Status: 200, Mode: "bearer", User: alice, Code: empty, Reason: empty, ClientIP: "127.0.0.1"})
	vended := w.dwolla.ClientTokens()
	if last := vended[len(vended)-1]; last.Token != token || last.CustomerID != alicesID {
		t.Errorf("the answer holds another token than Dwolla's for alice: it vended for %s", last.CustomerID)
	}
}

func TestVendRefusesByTheStateOfTheCustomer(t *testing.T) {
	w := newWorld(t)
	for _, row := range []struct {
		name, user, body string
		status           int
		code             string
		audit            line
	}{
		{
			"no Customer", carol, `{"action":"customer.read"}`, 409, "CustomerNotLinked",
			line{"user": carol, "customer": "", "action": "customer.read"},
		},
		{
			"a Customer already", alice, `{"action":"customer.create"}`, 409, "CustomerAlreadyLinked",
			line{"user": alice, "customer": alicesID, "action": "customer.create"},
		},
		{
			"an action that is not allowed", alice, `{"action":"customer.fundingsources.create"}`, 403, "ActionNotAllowed",
			line{"user": alice, "customer": "", "action": "customer.fundingsources.create"},
		},
		{
			"a payment", alice, `{"action":"customer.transfers.send"}`, 403, "ActionNotAllowed",
			line{"user": alice, "action": "customer.transfers.send"},
		},
		{
			"a sign-in that names no Customer of Dwolla's", mallory, `{"action":"customer.read"}`, 503, "Unavailable",
			line{"user": mallory, "customer": ""},
		},
		{
			"and may not create one either", mallory, `{"action":"customer.create"}`, 503, "Unavailable",
			line{"user": mallory, "customer": ""},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := w.vend(t, row.user, row.body)
			a.refused(t, row.status, row.code)
			a.audit.has(t, row.audit)
		})
	}
}

func TestVendFromTheDatabase(t *testing.T) {
	var store *customerdb.Database
	w := newWorld(t, fromSQLite(t, func(s *customerdb.Database) { store = s }))
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.vended(t, w.filled(sentRead))
	a = w.vend(t, carol, `{"action":"customer.read"}`)
	a.refused(t, http.StatusConflict, "CustomerNotLinked")
	if err := store.Unlink(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	a = w.vend(t, alice, `{"action":"customer.read"}`)
	a.refused(t, http.StatusConflict, "CustomerNotLinked")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	a = w.vend(t, alice, `{"action":"customer.read"}`)
	a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}
