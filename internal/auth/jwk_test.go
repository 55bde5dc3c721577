package auth_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"dropgate/internal/auth"
)

// members returns the published RSA key, with edits.
func members(edits object) json.RawMessage {
	var own object
	if err := json.Unmarshal([]byte(asJSON(public("rsa", rsaKey()))), &own); err != nil {
		panic(err)
	}
	return json.RawMessage(asJSON(edited(own, edits)))
}

func TestOptionalMembersDoNotDisqualifyKeys(t *testing.T) {
	odd := map[string][]any{
		"x5c":         {nil, 5, "", "!", []any{}, []any{"!"}, []any{5}, []any{"AQAB"}, object{}},
		"x5t":         {nil, 5, "", "!", "AQAB", []any{}},
		"x5t#S256":    {nil, 5, "", "!", "AQAB", object{}},
		"x5u":         {nil, 5, "", "%zz", "http://[", []any{}},
		"key_ops":     {nil, 5, "verify", []any{}, []any{"verify"}, []any{"sign"}, []any{5}, object{}},
		"oth":         {nil, 5, "", []any{}, []any{object{"r": "AQAB"}}},
		"use":         {nil, 5, "", "sig", "SIG", "Sig", []any{"sig"}, object{}},
		"alg":         {nil, 5, "", "RS256", "rs256", []any{"RS256"}},
		"kid":         {nil, absent{}, true, []any{"rsa"}, object{}},
		"ext":         {nil, true, "true"},
		"exp":         {0, "never"},
		"iat":         {"yesterday"},
		"k":           {5, "AQAB"},
		"d":           {nil},
		"priv":        {nil},
		"issuer":      {"https://other.example.com", object{"a": []any{object{}}}},
		"":            {object{}},
		"KTY":         {"EC"},
		"N":           {"AQAB"},
		"crv":         {nil, "P-256"},
		"revoked":     {nil, object{"revoked_at": 5}},
		"x5t_S256":    {"AQAB"},
		"nbf":         {1e300},
		"use_details": {strings.Repeat("a", 10_000)},
	}
	for name, values := range odd {
		for _, value := range values {
			runSynctest(t, fmt.Sprintf("%s %.40v", name, value), func(t *testing.T) {
				w := newHarness(newIDP(members(object{name: value})))
				w.run(t)
				w.want(t, alice, goodToken())
			})
		}
	}
}

func TestKeyIDMayBeNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(members(object{"kid": 5}), public("6", otherKey())))
		w.run(t)
		w.want(t, alice, tokenWithHeader(object{"kid": "5"}))
		w.want(t, refused, tokenWithHeader(object{"kid": "6"}))
	})
}

// A shared kid is no reason to drop either key.
func TestKeysMayShareAKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(public("same", otherKey()), public("same", rsaKey()), public("same", ecKey())))
		w.run(t)
		w.want(t, alice, tokenWithHeader(object{"kid": "same"}))
		w.want(t, alice, sign(otherKey(), header(object{"kid": "same"}), claims(nil)))
		w.want(t, alice, sign(ecKey(), header(object{"alg": "ES256", "kid": "same"}), claims(nil)))
		w.want(t, refused, sign(attackerKey(), header(object{"kid": "same"}), claims(nil)))
	})
}

// logTo captures the log.
func logTo(into *bytes.Buffer) func(*auth.BearerConfig, *auth.KeySetConfig) {
	return func(_ *auth.BearerConfig, c *auth.KeySetConfig) { c.Logger = zerolog.New(into) }
}

func TestKeySetLogsSkippedKeysOnce(t *testing.T) {
	for name, c := range map[string]struct {
		key  any
		want []string
	}{
		"encryption":     {members(object{"use": "enc", "kid": "e1"}), []string{`kid \"e1\"`, `use is \"enc\", not sig`}},
		"unknown kind":   {json.RawMessage(`{"kty":"LATTICE","kid":"l1"}`), []string{`kid \"l1\"`, "LATTICE"}},
		"other alg":      {members(object{"alg": "ES256", "kid": "r5"}), []string{`kid \"r5\"`, `alg \"ES256\"`}},
		"no modulus":     {members(object{"n": absent{}, "kid": "n1"}), []string{`kid \"n1\"`, "n"}},
		"published":      {members(object{"d": "AQAB", "kid": "leaked"}), []string{`kid \"leaked\"`, "private member d"}},
		"not an object":  {json.RawMessage(`5`), []string{"not a JSON object"}},
		"null":           {json.RawMessage(`null`), []string{"not a JSON object"}},
		"very long name": {members(object{"use": "enc", "kid": strings.Repeat("k", 5000)}), []string{"use is"}},
	} {
		runSynctest(t, name, func(t *testing.T) { checkSkipped(t, c.key, c.want) })
	}
}

// checkSkipped checks that the key is skipped. The log must say so once, and once
// more after a change of the set.
func checkSkipped(t *testing.T, key any, words []string) {
	t.Helper()
	var log bytes.Buffer
	lines := func(want int) {
		if n := strings.Count(log.String(), "keys are unusable"); n != want {
			t.Errorf("%d lines, want %d: %s", n, want, &log)
		}
	}
	w := newHarness(newIDP(public("rsa", rsaKey()), key), logTo(&log))
	w.run(t)
	advance(3 * refreshEvery)
	w.want(t, alice, goodToken())
	lines(1)
	for _, want := range words {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, &log)
		}
	}
	if log.Len() > 2000 {
		t.Errorf("%d bytes of log", log.Len())
	}
	w.idp.publish(public("rsa", rsaKey()), key, json.RawMessage(`{"kid":"another"}`))
	advance(refreshEvery)
	lines(2)
}

func TestKeySetErrorExplainsUnusableKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(members(object{"use": "enc", "kid": "e1"})))
		w.run(t)
		if err := w.keys.Missing(); err == nil || !strings.Contains(err.Error(), `kid "e1": use is "enc", not sig`) {
			t.Error(err)
		}
	})
}
