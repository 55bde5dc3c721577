package app

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"dropgate/internal/clienttoken"
)

// checkSecret demands a secret of at least 16 characters.
func (f faults) checkSecret(name string, secret clienttoken.Secret) {
	f.checkRequired(name, secret.Reveal())
	f.checkLength(name, secret, 16)
}

// checkLength demands at least so many characters of a secret that is set, and
// that it is not [guessable].
func (f faults) checkLength(name string, secret clienttoken.Secret, least int) {
	if !secret.IsZero() && len(secret.Reveal()) < least {
		f.add(name, fmt.Sprintf("is shorter than %d characters", least))
		return
	}
	f.checkGuess(name, secret)
}

// checkGuess demands of a secret that is set that it is not [guessable].
func (f faults) checkGuess(name string, secret clienttoken.Secret) {
	if !secret.IsZero() && guessable(secret.Reveal()) {
		f.add(name, guessableFault)
	}
}

// checkKeys demands of a comma-separated list that no member is [guessable].
func (f faults) checkKeys(name string, keys clienttoken.Secret) {
	if keys.IsZero() {
		return
	}
	for i, key := range strings.Split(keys.Reveal(), ",") {
		if guessable(strings.TrimSpace(key)) {
			f.add(name, fmt.Sprintf("key %d %s", i+1, guessableFault))
		}
	}
}

// guessableFault is what to do about one: openssl rand -base64 32 prints a secret
// for every setting.
const guessableFault = "is easy to guess (a repeated byte or pattern, a sequence, or a placeholder): generate one with `openssl rand -base64 32`"

// guessable reports whether a secret, or what it stands for in base64 or in
// hexadecimal, is something that people write into a template.
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

// fewestBytes is how many different bytes a secret has at least. Of 16 random
// bytes or characters, even digits, fewer are practically never different.
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

// repeats reports whether b is a pattern of at most longest bytes, again and
// again. The last one may be cut.
func repeats(b []byte, longest int) bool {
	for period := 1; period <= longest; period++ {
		if string(b[period:]) == string(b[:len(b)-period]) {
			return true
		}
	}
	return false
}
