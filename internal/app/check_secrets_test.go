package app_test

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"strings"
	"testing"
)

// secretUsers maps each secret to settings that require it.
func secretUsers() map[string]map[string]string {
	return map[string]map[string]string{
		"DWOLLA_CLIENT_SECRET":    {},
		"AUTH_OIDC_CLIENT_SECRET": oidc(nil),
		"AUTH_PROXY_SECRET":       {"AUTH_MODES": "proxy", "TRUSTED_PROXIES": "10.0.0.0/8", "CUSTOMER_SOURCE": "database"},
		"CUSTOMER_LOOKUP_TOKEN":   {"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "https://app.internal/{user}"},
		"DWOLLA_WEBHOOK_SECRET":   {"CUSTOMER_SOURCE": "database"},
		"ADMIN_TOKEN":             {"CUSTOMER_SOURCE": "database"},
		"ENROLLMENT_KEYS":         {"CUSTOMER_SOURCE": "database"},
	}
}

func TestGuessableSecretsAreFaults(t *testing.T) {
	zeros := make([]byte, 32)
	counting := make([]byte, 40)
	for i := range counting {
		counting[i] = byte('=' + i)
	}
	for _, secret := range []string{
		strings.Repeat("x", 44), strings.Repeat("0", 64), strings.Repeat("xX", 22), strings.Repeat("changeme", 8), strings.Repeat("a1b2c3d4", 5) + "a1",
		base64.StdEncoding.EncodeToString(zeros), base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 33))),
		base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))), hex.EncodeToString([]byte(strings.Repeat("\xa5", 32))),
		base64.StdEncoding.EncodeToString([]byte(strings.Repeat("secret", 6))), base64.StdEncoding.EncodeToString(counting),
		string(counting), strings.Repeat("aaaabbbbcccc", 3) + "aabbcc", "please-CHANGEME-before-the-start-of-it-all",
	} {
		for name, others := range secretUsers() {
			if name == "ENROLLMENT_KEYS" && len(secret) != 44 { // a key has a length and an alphabet of its own
				continue
			}
			changes := map[string]string{}
			maps.Copy(changes, others)
			changes[name] = secret
			faults := strings.Join(faultsOf(t, changes), "\n")
			if !strings.HasPrefix(faults, name+": ") || !strings.Contains(faults, "easy to guess") || strings.Contains(faults, secret) {
				t.Errorf("%s=%q: %s", name, secret, faults)
			}
		}
	}
}

func TestProviderSecretsAreAccepted(t *testing.T) {
	for _, secret := range []string{
		"kq3Zr0qG2tYc9pXa7LsWm1vBn5dFh8jE4uTiOyRwQzPx", // letters and digits
		"4111902846173950284617395028461739502846101",  // digits alone
		"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"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", "8a7~Q~3xYzAbCdEfGhIjKlMnOpQrStUv_wX.y0", "S1-mp.Le_~s~cret!with$odd&characters",
	} {
		for name, others := range secretUsers() {
			if name == "ENROLLMENT_KEYS" {
				continue
			}
			changes := map[string]string{}
			maps.Copy(changes, others)
			changes[name] = secret
			if faults := faultsOf(t, changes); faults != nil {
				t.Errorf("%s=%q: %q", name, secret, faults)
			}
		}
	}
}
