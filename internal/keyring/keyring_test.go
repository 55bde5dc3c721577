package keyring_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

func key(seed byte, n int) []byte {
	key := bytes.Repeat([]byte{seed}, n)
	key[0]++
	return key
}

func list(keys ...[]byte) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		texts[i] = base64.StdEncoding.EncodeToString(key)
	}
	return strings.Join(texts, ",")
}

func TestAListOfKeysKeepsItsOrder(t *testing.T) {
	one, two := key(0xfb, 32), key(0xff, 64)
	for _, text := range []string{
		list(one, two),
		" " + list(one) + " , " + list(two) + " ",
		base64.RawURLEncoding.EncodeToString(one) + "," + base64.URLEncoding.EncodeToString(two),
	} {
		r, err := keyring.Parse(clienttoken.NewSecret(text))
		if err != nil {
			t.Fatal(err)
		}
		var got [][]byte
		for _, k := range r.Keys() {
			got = append(got, []byte(k.Reveal()))
		}
		if !slices.EqualFunc(got, [][]byte{one, two}, bytes.Equal) || r.Len() != 2 {
			t.Errorf("%q: other keys", text)
		}
	}
}

func TestAFaultyListIsRefusedWithoutShowingKeys(t *testing.T) {
	nine := make([][]byte, 9)
	for i := range nine {
		nine[i] = key(byte(i+1), 32)
	}
	for want, text := range map[string]string{
		"key 1 is not base64":                    "hunter2!",
		"key 2 has 0 bytes, and needs 32":        list(key(1, 32)) + ",",
		"key 1 has 31 bytes, and needs 32":       list(key(1, 31)),
		"key 2 is given twice":                   list(key(1, 32), key(1, 32)),
		"key 2 repeats one byte":                 list(key(1, 32), make([]byte, 32)),
		"key 1 repeats one byte":                 list(bytes.Repeat([]byte("a"), 40)),
		"there are more than 8 keys":             list(nine...),
		"key 1 has 0 bytes, and needs 32":        "",
		"key 1 is not base64, or has spare bits": list(key(1, 32))[:42] + "/",
	} {
		r, err := keyring.Parse(clienttoken.NewSecret(text))
		if err == nil || !strings.HasPrefix(want, err.Error()) || r.Len() != 0 {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestDerivedKeysDifferByKeyPurposeAndContext(t *testing.T) {
	r, err := keyring.Parse(clienttoken.NewSecret(list(key(1, 32), key(2, 32))))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, purpose := range []string{"seal", "index"} {
		for _, context := range []string{"a", "b"} {
			for i, derived := range r.Derive(purpose, []byte(context)) {
				if len(derived) != 32 || seen[string(derived)] {
					t.Errorf("%s %s %d: not a key of its own", purpose, context, i)
				}
				seen[string(derived)] = true
			}
		}
	}
}

func TestARingDoesNotPrintItsKeys(t *testing.T) {
	r := keyring.Of(clienttoken.NewSecret("hunter2"))
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(format, r); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s prints %s", format, text)
		}
	}
}
