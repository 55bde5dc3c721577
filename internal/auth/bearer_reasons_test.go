package auth_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// The log must name the bad claim, since the signature is good.
func TestRefusedClaimsAreNotReportedAsBadSignature(t *testing.T) {
	long := strings.Repeat("a", 3000)
	for _, c := range []struct {
		name  string
		edits object
		want  []string
	}{
		{"iss", object{"iss": "https://other.example.com"}, []string{`iss is "https://other.example.com", expected "https://id.example.com"`}},
		{"iss and aud", object{"iss": "https://other.example.com", "aud": "other"}, []string{
			`iss is "https://other.example.com", expected "https://id.example.com"`, `aud is ["other"], expected "dropgate"`,
		}},
		{"no iss", object{"iss": absent{}}, []string{`iss is "", expected`}},
		{"aud", object{"aud": "other"}, []string{`aud is ["other"], expected "dropgate"`}},
		{"several aud", object{"aud": []string{"a", "b", "c", "d", "e", "f", "g"}}, []string{`"a", "b"`, "and 2 more", `expected "dropgate"`}},
		{"no aud", object{"aud": absent{}}, []string{`aud is [], expected "dropgate"`}},
		{"long iss", object{"iss": long}, []string{"iss is", `expected "https://id.example.com"`}},
		{"long aud", object{"aud": []string{long[:1000], long[:1000]}}, []string{"aud is", `expected "dropgate"`}},
		{"iss a number", object{"iss": 5}, []string{"claim iss is a number, not a string"}},
		{"iss a list", object{"iss": []string{issuer}}, []string{"claim iss is an array, not a string"}},
		{"sub a fraction", object{"sub": 5.5}, []string{"claim sub is a number, not a string"}},
		{"sub an object", object{"sub": object{}}, []string{"claim sub is an object, not a string"}},
		{"sub true", object{"sub": true}, []string{"claim sub is a boolean, not a string"}},
		{"exp a string", object{"exp": "4102444800"}, []string{"claim exp is a string, not a number"}},
		{"exp huge", object{"exp": json.RawMessage("1e300")}, []string{"claim exp"}},
		{"exp in milliseconds", object{"exp": json.RawMessage("1893456000000")}, []string{"claim exp", "in seconds"}},
		{"exp past", object{"exp": 5}, []string{"expired (exp)"}},
		{"nbf a string", object{"nbf": "0"}, []string{"claim nbf is a string, not a number"}},
		{"nbf an object", object{"nbf": object{}}, []string{"claim nbf is an object, not a number"}},
		{"iat a string", object{"iat": "now"}, []string{"claim iat is a string, not a number"}},
		{"jti a number", object{"jti": 5}, []string{"claim jti is a number, not a string"}},
		{"aud an object", object{"aud": object{"dropgate": true}}, []string{"claim aud is an object"}},
		{"aud with a number", object{"aud": []any{"dropgate", 5}}, []string{"claim aud is an array, not an array of strings"}},
	} {
		runSynctest(t, c.name, func(t *testing.T) { checkReason(t, tokenWith(c.edits), c.want...) })
	}
	for name, payload := range map[string]string{
		"not JSON": "alice", "a list": `["alice"]`, "null": "null", "empty": "", "a member twice": `{"sub":"alice","sub":"bob"}`,
	} {
		runSynctest(t, "claims "+name, func(t *testing.T) {
			checkReason(t, sign(rsaKey(), header(nil), payload), "the claims are not a JSON object")
		})
	}
}

// checkReason checks the reason for refusing a correctly signed token.
func checkReason(t *testing.T, token string, words ...string) {
	t.Helper()
	w := newHarness(newIDP(published()...))
	w.run(t)
	_, err := w.authenticate(t.Context(), token)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range words {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "signed by") || len(err.Error()) > 1000 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}
