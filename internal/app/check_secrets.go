package app

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"dropgate/internal/clienttoken"
	"dropgate/internal/rotation"
)

// leastSecret is the least length of a secret, in characters, where the operator
// may choose it.
const leastSecret = 16

func (k checker) requiredSecret(name string, secret clienttoken.Secret) {
	k.required(name, secret.Reveal())
	k.longEnough(name, secret)
}

// longEnough demands at least leastSecret characters, not [guessable], of each value
// of a secret.
func (k checker) longEnough(name string, secret clienttoken.Secret) {
	for _, value := range rotation.Values(secret) {
		if len(value.Reveal()) < leastSecret {
			k.fail(name, fmt.Sprintf("is shorter than %d characters", leastSecret))
			return
		}
	}
	k.notGuessable(name, secret)
}

func (k checker) notGuessable(name string, secret clienttoken.Secret) {
	for _, value := range rotation.Values(secret) {
		if guessable(value.Reveal()) {
			k.fail(name, guessableFault)
			return
		}
	}
}

// keysNotGuessable checks each member of a comma-separated list.
func (k checker) keysNotGuessable(name string, keys clienttoken.Secret) {
	if keys.IsZero() {
		return
	}
	for i, key := range strings.Split(keys.Reveal(), ",") {
		if guessable(strings.TrimSpace(key)) {
			k.fail(name, fmt.Sprintf("key %d %s", i+1, guessableFault))
		}
	}
}

// guessableFault names a command with output for every kind of secret.
const guessableFault = "is easy to guess (a repeated byte or pattern, a sequence, or a placeholder): generate one with `openssl rand -base64 32`"

// guessable reports whether a secret, or its value decoded from base64 or
// hexadecimal, looks like one from a template.
func guessable(secret string) bool {
	lower := strings.ToLower(secret)
	for _, placeholder := range []string{"changeme", "change-me", "change_me", "replaceme", "replace-me", "replace_me", "placeholder"} {
		if strings.Contains(lower, placeholder) {
			return true
		}
	}
	if trivial([]byte(secret)) || trivial([]byte(lower)) {
		return true
	}
	if decoded, err := hex.DecodeString(secret); err == nil && trivial(decoded) {
		return true
	}
	alphabet := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(secret, "="))
	decoded, err := base64.RawStdEncoding.DecodeString(alphabet)
	return err == nil && trivial(decoded)
}

// fewestBytes is the least number of different bytes in a secret. 16 random bytes,
// or even 16 random digits, practically never have fewer.
const fewestBytes = 4

// trivial reports whether b is a repeated pattern, counts up or down, or has
// fewer than fewestBytes different bytes.
func trivial(b []byte) bool {
	different := map[byte]bool{}
	for _, c := range b {
		different[c] = true
	}
	if len(different) < fewestBytes {
		return true
	}
	steps := make([]byte, 0, len(b))
	for i := 1; i < len(b); i++ {
		steps = append(steps, b[i]-b[i-1])
	}
	return repeats(b, len(b)/2) || repeats(steps, 1)
}

// repeats reports whether b repeats a pattern of at most longest bytes. The last
// repetition may be incomplete.
func repeats(b []byte, longest int) bool {
	for period := 1; period <= longest; period++ {
		if string(b[period:]) == string(b[:len(b)-period]) {
			return true
		}
	}
	return false
}
