package app_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const secondToken = "the-very-secret-of-another-operator-of-it"

func TestAdminTokenAcceptsNamedTokens(t *testing.T) {
	var many []string
	for n := range 17 {
		many = append(many, fmt.Sprintf("op-%d:ro:%s-%d", n, adminToken, n))
	}
	for value, want := range map[string]string{
		adminToken:             "",
		"ann:rw:" + adminToken: "",
		"ann:ro:" + adminToken: "",
		"ann:rw:" + adminToken + ", on-call-2:ro:" + secondToken: "",
		"ann:rw:" + adminToken + ":with:colons":                  "",
		strings.Join(many[:16], ","):                             "",
		strings.Join(many, ","):                                  "more than 16 tokens",
		adminToken + "," + secondToken:                           "token 1 is not NAME:ro:TOKEN",
		adminToken + ":x":                                        "token 1 is not NAME:ro:TOKEN",
		"Ann:rw:" + adminToken:                                   "token 1 is not NAME:ro:TOKEN",
		":rw:" + adminToken:                                      "token 1 is not NAME:ro:TOKEN",
		"ann:wo:" + adminToken:                                   "token 1 is not NAME:ro:TOKEN",
		"ann:" + adminToken:                                      "token 1 is not NAME:ro:TOKEN",
		strings.Repeat("a", 33) + ":rw:" + adminToken:            "token 1 is not NAME:ro:TOKEN",
		"ann:rw:" + adminToken + ",":                             "token 2 is not NAME:ro:TOKEN",
		"ann:rw:" + adminToken + ",bob:rw:very-secret":           "token 2 is shorter than 32 characters",
		"ann:rw:" + adminToken + ",ann:ro:" + secondToken:        "token 2 has the name or the token of an earlier one",
		"ann:rw:" + adminToken + ",bob:ro:" + adminToken:         "token 2 has the name or the token of an earlier one",
		"ann:rw:" + strings.Repeat("very-secret", 4):             "token 1 is easy to guess",
		"the-very-secret of the operators of the service":        "has a space",
		"thé-very-secret-of-the-operators-of-the-service":        "non-ASCII",
	} {
		faults := faultsOf(t, map[string]string{"CUSTOMER_SOURCE": "database", "ADMIN_TOKEN": value})
		if want == "" && faults != nil || want != "" && (len(faults) != 1 || !strings.HasPrefix(faults[0], "ADMIN_TOKEN: ") || !strings.Contains(faults[0], want)) {
			t.Errorf("%q: %q, want %q", value, faults, want)
		}
	}
}

// An operator's old and new token are both good until the old one is taken out.
func TestAdminTokensOverlapDuringRotation(t *testing.T) {
	s := newFixture(t).start(t, map[string]string{
		"CUSTOMER_SOURCE": "database", "DATABASE_URL": directories()["SQLite"](t),
		"ADMIN_TOKEN": "ann:rw:" + adminToken + ",ann-2:rw:" + secondToken + ",audit:ro:" + adminToken + "-to-read",
	})
	link := `{"customer":"` + alicesCustomer + `"}`
	answers(t, "the old one", s.operate(t, adminToken, http.MethodPut, "/customers/carol", link), http.StatusOK, "")
	if got := s.operate(t, secondToken, http.MethodDelete, "/customers/carol", ""); got.status != http.StatusNoContent {
		t.Errorf("the next one: %d %s", got.status, got.body)
	}
	answers(t, "to read", s.operate(t, adminToken+"-to-read", http.MethodGet, "/customers", ""), http.StatusOK, "")
	answers(t, "to write", s.operate(t, adminToken+"-to-read", http.MethodPut, "/customers/carol", link), http.StatusForbidden, "ActionNotAllowed")
	answers(t, "with its name", s.operate(t, "ann:rw:"+adminToken, http.MethodGet, "/customers", ""), http.StatusUnauthorized, "Unauthenticated")
	told := func() string {
		var all []string
		for _, line := range s.logs.lines(t, "audit") {
			if line["event"] == "link" || line["event"] == "unlink" {
				all = append(all, fmt.Sprint(line["operator"], " ", line["event"], " ", line["outcome"]))
			}
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	until(t, "the audit lines", func() bool { return told() == "ann link linked, ann-2 unlink unlinked, audit link ActionNotAllowed" })
	shows(t, s, adminToken, secondToken)
}

func TestAdminHostsAreNamesWithoutPorts(t *testing.T) {
	for value, good := range map[string]bool{
		"dropgate.payments.svc, dropgate": true, "DropGate.payments.svc.": true, "203.0.113.7": true, "2001:db8::7": true, "[2001:db8::7]": true, "bücher.example": true,
		"dropgate:9090": false, "http://dropgate": false, "*": false, "*.payments.svc": false, "a b": false, "dropgate/x": false, "u@dropgate": false,
	} {
		if faults := faultsOf(t, map[string]string{"ADMIN_HOSTS": value}); (faults == nil) != good || !good && !strings.HasPrefix(faults[0], "ADMIN_HOSTS: ") {
			t.Errorf("%q: %q", value, faults)
		}
	}
}

// ownAddress is a non-loopback address of this machine.
func ownAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range all {
		if address, ok := each.(*net.IPNet); ok && !address.IP.IsLoopback() && address.IP.To4() != nil {
			return address.IP.String()
		}
	}
	return "127.0.0.1"
}

// A probe and a scrape name the Pod's address, a page of a rebound name its own.
func TestAdminListenerRefusesForeignHosts(t *testing.T) {
	s := newFixture(t).start(t, map[string]string{
		"ADMIN_HOSTS": "Dropgate.payments.svc.", "CUSTOMER_SOURCE": "database", "DATABASE_URL": directories()["SQLite"](t), "ADMIN_TOKEN": adminToken,
	})
	until(t, "readiness", func() bool { return s.admin(t, "/readyz").status == http.StatusOK })
	_, port, err := net.SplitHostPort(s.AdminAddr())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "localhost:" + port: 200, ownAddress(t) + ":" + port: 200, "dropgate.payments.svc:" + port: 200, "DROPGATE.payments.svc": 200,
		"evil.example:" + port: 421, "127.0.0.1.evil.example": 421, "payments.svc": 421, "192.0.2.1:" + port: 421,
	} {
		for _, path := range []string{"/livez", "/readyz", "/metrics", "/version", "/customers"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.AdminAddr()+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			r.Header.Set("Authorization", "Bearer "+adminToken)
			if got := do(t, r); got.status != want {
				t.Errorf("%s%s: %d %s", host, path, got.status, got.body)
			}
		}
	}
	// The absolute form counts, not the header beside it (RFC 9112, 3.2.2).
	for target, want := range map[string]string{"http://evil.example/metrics": "HTTP/1.1 421", "http://127.0.0.1/livez": "HTTP/1.1 200"} {
		if got := speak(t, s.AdminAddr(), "GET "+target+" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", target, got)
		}
	}
	if got := speak(t, s.AdminAddr(), "GET /livez HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 200") {
		t.Errorf("an old health check: %s", got)
	}
}

// speak writes text to addr, and returns the whole answer.
func speak(t *testing.T, addr, text string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	var answer strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		answer.Write(buffer[:n])
		if err != nil {
			return answer.String()
		}
	}
}
