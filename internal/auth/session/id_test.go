package session_test

import (
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"dropgate/internal/auth/session"
)

func TestIDsAreUniqueAnd43Characters(t *testing.T) {
	alphabet := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	seen := map[string]bool{}
	keys := map[session.Key]bool{}
	for range 10_000 {
		id := session.NewID().Reveal()
		key, ok := session.KeyOf(id)
		if !alphabet.MatchString(id) || !ok || seen[id] || keys[key] {
			t.Fatalf("%q is malformed or not new", id)
		}
		seen[id], keys[key] = true, true
	}
}

// Unique ids could still have constant bits.
func TestEveryBitOfAnIDIsRandom(t *testing.T) {
	var ever, always [43]byte
	for i := range always {
		always[i] = 63
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for range 200 { // a random bit is constant with probability 2^-199
		for i, c := range session.NewID().Reveal() {
			value := byte(strings.IndexRune(alphabet, c))
			ever[i] |= value
			always[i] &= value
		}
	}
	for i := range ever {
		want := byte(63)
		if i == 42 {
			want = 60 // the last two of the 258 bits are padding
		}
		if ever[i] != want || always[i] != 0 {
			t.Errorf("character %d: bits always 1 %06b, ever 1 %06b", i, always[i], ever[i])
		}
	}
}

// Replicas of all versions derive the same key.
func TestKeyIsTheSHA256OfTheID(t *testing.T) {
	id := session.NewID().Reveal()
	if key, ok := session.KeyOf(id); !ok || key != sha256.Sum256([]byte(id)) {
		t.Errorf("key %x, %v", key, ok)
	}
}

func TestMalformedIDHasNoKey(t *testing.T) {
	good := strings.Repeat("A", 43)
	if _, ok := session.KeyOf(good); !ok {
		t.Fatal("a good id has no key")
	}
	for name, id := range map[string]string{
		"nothing":                    "",
		"a character less":           good[:42],
		"a character more":           good + "A",
		"31 bytes":                   strings.Repeat("A", 42),
		"33 bytes":                   strings.Repeat("A", 44),
		"64 bytes":                   strings.Repeat("A", 86),
		"padded":                     good + "=",
		"padded, too short":          good[:42] + "=",
		"not canonical: one bit":     good[:42] + "B",
		"not canonical: both bits":   good[:42] + "D",
		"the standard alphabet: +":   "+" + good[1:],
		"the standard alphabet: /":   "/" + good[1:],
		"a space before":             " " + good,
		"a space after":              good + " ",
		"a space instead":            " " + good[1:],
		"a newline after":            good + "\n",
		"a newline in it":            good[:20] + "\n" + good[20:],
		"a carriage return in it":    good[:20] + "\r" + good[20:],
		"a newline and a short rest": good[:42] + "\n",
		"hexadecimal":                strings.Repeat("0a", 32),
		"a zero byte":                good[:42] + "\x00",
		"beyond ASCII":               strings.Repeat("é", 21) + "A",
		"invalid UTF-8":              "\xff" + good[1:],
		"8 KiB":                      strings.Repeat("A", 8<<10),
		"a good id and newlines":     good + strings.Repeat("\n", 8<<10),
	} {
		t.Run(name, func(t *testing.T) {
			if key, ok := session.KeyOf(id); ok || key != (session.Key{}) {
				t.Errorf("%q has the key %x", id, key)
			}
		})
	}
}
