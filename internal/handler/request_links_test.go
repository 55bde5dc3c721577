package handler_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestUnknownActionsAreNotAllowed(t *testing.T) {
	w := newWorld(t)
	for _, action := range []string{
		"customer.destroy", "Customer.Read", "CUSTOMER.READ", "customer.read ", " customer.read", "customer.read\n",
		"customer.read\u0000", "customer.\u017fead", "сustomer.read", "*", "customer.*", "dwolla-document-upload",
		"customer.read,customer.update", strings.Repeat("a", 255), strings.Repeat("é", 255), "unknown", "vended",
	} {
		a := w.vend(t, alice, fmt.Sprintf(`{"action":%q}`, strings.ReplaceAll(action, "\u0000", "?")))
		a.refused(t, http.StatusForbidden, "ActionNotAllowed")
		a.audit.has(t, line{"user": alice, "action": ""})
		if strings.Contains(a.body, action) {
			t.Errorf("the answer repeats %q", action)
		}
	}
}

func TestForeignCustomerIsRefusedInEverySpelling(t *testing.T) {
	w := newWorld(t)
	for name, href := range map[string]string{
		"same host, bob's id":        "https://api-sandbox.dwolla.com/customers/BOB",
		"the emulator, bob's id":     "ROOT/customers/BOB",
		"bob's id in upper case":     "https://api-sandbox.dwolla.com/customers/" + strings.ToUpper(bobsID),
		"bob's id over http":         "http://api-sandbox.dwolla.com/customers/BOB/",
		"an id that nobody has":      "https://api-sandbox.dwolla.com/customers/" + nobodysID,
		"another host":               "https://evil.example.com/customers/ALICE",
		"a host that begins alike":   "https://api-sandbox.dwolla.com.evil.example/customers/ALICE",
		"a host that ends alike":     "https://evil-api-sandbox.dwolla.com/customers/ALICE",
		"a host with a dot behind":   "https://api-sandbox.dwolla.com./customers/ALICE",
		"the other environment":      "https://api.dwolla.com/customers/ALICE",
		"user info":                  "https://api-sandbox.dwolla.com@evil.example/customers/ALICE",
		"user info before":           "https://evil.example@api-sandbox.dwolla.com/customers/ALICE",
		"user and password":          "https://a:b@api-sandbox.dwolla.com/customers/ALICE",
		"a port":                     "https://api-sandbox.dwolla.com:443/customers/ALICE",
		"an empty port":              "https://api-sandbox.dwolla.com:/customers/ALICE",
		"another port":               "https://api-sandbox.dwolla.com:8443/customers/ALICE",
		"a query":                    "https://api-sandbox.dwolla.com/customers/ALICE?x=1",
		"an empty query":             "https://api-sandbox.dwolla.com/customers/ALICE?",
		"a fragment":                 "https://api-sandbox.dwolla.com/customers/ALICE#x",
		"an encoded path":            "https://api-sandbox.dwolla.com/customers%2FALICE",
		"an encoded id":              "https://api-sandbox.dwolla.com/customers/%37" + alicesID[1:],
		"an encoded letter":          "https://api-sandbox.dwolla.com/%63ustomers/ALICE",
		"dots":                       "https://api-sandbox.dwolla.com/customers/BOB/../ALICE",
		"encoded dots":               "https://api-sandbox.dwolla.com/customers/BOB/%2e%2e/ALICE",
		"a path before":              "https://api-sandbox.dwolla.com/x/customers/ALICE",
		"a path behind":              "https://api-sandbox.dwolla.com/customers/ALICE/funding-sources",
		"two slashes":                "https://api-sandbox.dwolla.com//customers/ALICE",
		"two slashes behind":         "https://api-sandbox.dwolla.com/customers/ALICE//",
		"a matrix parameter":         "https://api-sandbox.dwolla.com/customers/ALICE;x",
		"the collection":             "https://api-sandbox.dwolla.com/customers/",
		"another collection":         "https://api-sandbox.dwolla.com/accounts/ALICE",
		"no id":                      "https://api-sandbox.dwolla.com/customers/me",
		"an id with another dash":    "https://api-sandbox.dwolla.com/customers/" + strings.ReplaceAll(alicesID, "-", "\u2010"),
		"an id without dashes":       "https://api-sandbox.dwolla.com/customers/" + strings.ReplaceAll(alicesID, "-", ""),
		"an id in braces":            "https://api-sandbox.dwolla.com/customers/{ALICE}",
		"a kelvin sign in the host":  "https://api-sandbox.dwolla.com/customers/ALICE\u212a",
		"a full-width solidus":       "https://api-sandbox.dwolla.com／customers/ALICE",
		"a backslash":                `https://api-sandbox.dwolla.com/customers\\ALICE`,
		"a punycode look-alike":      "https://xn--api-sandbox-dwolla.com/customers/ALICE",
		"an address":                 "https://[::1]/customers/ALICE",
		"the Customer of the action": "ROOT/customers/BOB",
	} {
		t.Run(name, func(t *testing.T) {
			for _, member := range []string{"links", "_links"} {
				content := w.filled(`{"action":"customer.read","` + member + `":{"customer":{"href":"` + href + `"}}}`)
				a := w.vend(t, alice, content)
				a.refused(t, http.StatusForbidden, "CustomerMismatch")
				a.audit.has(t, line{"user": alice, "customer": alicesID, "action": "customer.read"})
				if strings.Contains(a.body, alicesID) || strings.Contains(a.body, bobsID) {
					t.Errorf("the response shows a Customer: %s", a.body)
				}
			}
		})
	}
}

func TestUserWithoutCustomerCannotNameOne(t *testing.T) {
	w := newWorld(t)
	for _, action := range []string{"customer.create", "businessclassifications.read", "customer.read"} {
		a := w.vend(t, carol, w.filled(`{"action":"`+action+`","links":{"customer":{"href":"ROOT/customers/ALICE"}}}`))
		a.refused(t, http.StatusForbidden, "CustomerMismatch")
		a = w.vend(t, carol, w.filled(`{"action":"`+action+`","links":{"beneficial-owner":{"href":"ROOT/beneficial-owners/OWNER"}}}`))
		a.refused(t, http.StatusForbidden, "CustomerMismatch")
	}
}

func TestForeignBeneficialOwnerIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, row := range map[string]struct {
		href  string
		asked bool // the owner's Customer must be looked up at Dwolla
	}{
		"bob's":             {"ROOT/beneficial-owners/BOBS", true},
		"nobody's":          {"ROOT/beneficial-owners/" + nobodysID, true},
		"another host":      {"https://evil.example/beneficial-owners/OWNER", false},
		"a Customer":        {"ROOT/customers/OWNER", false},
		"the own Customer":  {"ROOT/beneficial-owners/ALICE", true},
		"an encoded letter": {"ROOT/beneficial%2Downers/OWNER", false},
	} {
		t.Run(name, func(t *testing.T) {
			href := strings.ReplaceAll(row.href, "BOBS", w.bobs)
			a := w.vend(t, alice, w.filled(`{"action":"beneficialowner.documents.create","links":{"beneficial-owner":{"href":"`+href+`"}}}`))
			a.failed(t, http.StatusForbidden, "CustomerMismatch")
			if len(a.sent) != 0 || (a.calls > 0) != row.asked {
				t.Errorf("Dwolla got %d calls, and was asked for %q", a.calls, a.sent)
			}
		})
	}
}

// exchange sends bytes and nothing behind them, and reads the answer.
func (w *world) exchange(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestIncompleteBodyIsRefused speaks HTTP by hand: no client sends
// such requests.
func TestIncompleteBodyIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, rest := range map[string]string{
		"a chunk is cut":           "Transfer-Encoding: chunked\r\n\r\n40\r\n{\"action\":\"customer.read\"}",
		"the last chunk is absent": "Transfer-Encoding: chunked\r\n\r\n1a\r\n{\"action\":\"customer.read\"}\r\n",
		"a chunk has no size":      "Transfer-Encoding: chunked\r\n\r\nxx\r\n{\"action\":\"customer.read\"}\r\n0\r\n\r\n",
		"less than announced":      "Content-Length: 100\r\n\r\n{\"action\":\"customer.read\"}",
	} {
		t.Run(name, func(t *testing.T) {
			w.heard()
			mark := w.logs.mark()
			resp := w.exchange(t, "POST /client-tokens HTTP/1.1\r\nHost: dropgate\r\nContent-Type: application/json\r\nAuthorization: Bearer "+
				w.token(alice)+"\r\n"+rest)
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("answer %s of type %s", resp.Status, resp.Header.Get("Content-Type"))
			}
			w.logs.await(t, mark, "audit").has(t, line{"outcome": "BadRequest", "user": alice})
			if calls, _ := w.heard(); calls != 0 {
				t.Errorf("Dwolla was called %d times", calls)
			}
		})
	}
}
