package clienttoken

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// mask is what a secret prints as.
const mask = "[secret]"

// Secret is a string that does not print: every verb of fmt, encoding/json,
// encoding.TextMarshaler and zerolog show a mask. Only [Secret.Reveal] gives
// the value. The zero Secret is empty.
type Secret struct {
	// A pointer, because fmt does not call methods on the unexported fields of
	// a struct that it prints by reflection; it then shows an address.
	value *string
}

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{value: &s} }

// Reveal returns the value in the clear, for the one place that has to send it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no value to hide.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns the mask.
func (s Secret) String() string { return mask }

// Format prints the mask for every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalJSON returns the mask as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalText returns the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// UnmarshalText takes the value from a configuration source. It never fails.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Fingerprint is the first 64 bits of the value's SHA-256 in hexadecimal. It
// tells one secret from another in a log and cannot be turned back into the
// value of a token, whose entropy is far above 64 bits.
func (s Secret) Fingerprint() string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:8])
}
