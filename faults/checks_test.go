//go:build faults

package faults_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// TestTheCheckOfPromise1CanFail, or it would be worth nothing.
func TestTheCheckOfPromise1CanFail(t *testing.T) {
	alice := &caller{user: user{name: "alice", customer: customerID(1)}}
	bob := &caller{user: user{name: "bob", customer: customerID(2)}}
	mallory := &caller{user: user{name: "mallory", customer: customerID(3)}, refusal: mismatch}
	vended := []emulator.ClientToken{
		{Token: "a", Action: "customer.read", CustomerID: customerID(1)},
		{Token: "b", Action: "customer.read", CustomerID: customerID(2)},
		{Token: "m", Action: "customer.read", CustomerID: customerID(3)},
		{Token: "update", Action: "customer.update", CustomerID: customerID(1)},
		{Token: "nobody's", Action: "customer.read"},
	}
	for name, test := range map[string]struct {
		shots []shot
		want  int
	}{
		"each got their own":         {[]shot{{caller: alice, token: "a"}, {caller: bob, token: "b"}, {caller: mallory, status: 403}}, 0},
		"another's Customer":         {[]shot{{caller: alice, token: "b"}}, 1},
		"swapped":                    {[]shot{{caller: alice, token: "b"}, {caller: bob, token: "a"}}, 2},
		"no Customer":                {[]shot{{caller: alice, token: "nobody's"}}, 1},
		"another action":             {[]shot{{caller: alice, token: "update"}}, 1},
		"not Dwolla's":               {[]shot{{caller: alice, token: "made up"}}, 1},
		"the same one twice":         {[]shot{{caller: alice, token: "a"}, {caller: alice, token: "a"}}, 1},
		"the attacker got his own":   {[]shot{{caller: mallory, token: "m"}}, 1},
		"the attacker got another's": {[]shot{{caller: mallory, token: "b"}}, 1},
	} {
		if got := broken(test.shots, vended); len(got) != test.want {
			t.Errorf("%s: %q, want %d", name, got, test.want)
		}
	}
}

// TestTheSweepFindsASecretInEveryEncoding, with anything around it.
func TestTheSweepFindsASecretInEveryEncoding(t *testing.T) {
	const secret = "a?secret>with~some+/=&bytes"
	search := newSearcher(map[string]string{secret: "the secret", "another-secret": "another"})
	for name, encode := range map[string]func(string) string{
		"as it is":               func(s string) string { return s },
		"URL":                    url.QueryEscape,
		"URL, a path":            url.PathEscape,
		"URL, lower case":        func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
		"base64":                 func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64, raw":            func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
		"base64, URL":            func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"base64, raw, URL":       func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"base64, encoded as URL": func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
		"hex":                    func(s string) string { return hex.EncodeToString([]byte(s)) },
		"hex, upper case":        func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	} {
		for _, before := range []string{"", "x", "xy", "xyz", "user:", "Bearer "} {
			for _, after := range []string{"", "x", "xy", "xyz"} {
				text := `{"level":"info","message":"` + encode(before+secret+after) + `"}`
				if got := search.in(text); !slices.Equal(got, []string{"the secret"}) {
					t.Errorf("%s, between %q and %q: found %q", name, before, after, got)
				}
				if got := search.in(strings.ReplaceAll(text, encode(before+secret+after), encode(before+secret[1:len(secret)-1]+after))); len(got) > 0 {
					t.Errorf("%s, between %q and %q: found %q, which is not there", name, before, after, got)
				}
			}
		}
	}
	if got := search.in(secret + "another-secret"); !slices.Equal(got, []string{"another", "the secret"}) {
		t.Errorf("two at once: %q", got)
	}
}
