package clienttoken

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const mask = "[secret]"

// Secret is a string that never prints. Every fmt verb, encoding/json,
// encoding.TextMarshaler and zerolog show a mask. Only [Secret.Reveal] returns
// the value. The zero Secret is empty.
type Secret struct {
	// A pointer: if a Secret is an unexported field of another struct, fmt ignores
	// the methods below and prints this address.
	value *string
}

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{value: &s} }

// Reveal returns the value in the clear, for the code that sends it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether the value is empty.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns the mask.
func (s Secret) String() string { return mask }

// Format prints the mask for every verb, including %#v and %x.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(mask)) }

// MarshalJSON returns the mask as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalText returns the mask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// UnmarshalText sets the value. It never fails.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// Fingerprint is the first 64 bits of the value's SHA-256, in hexadecimal. It
// identifies a token in a log. A token has far more than 64 bits of entropy, so
// the fingerprint does not reveal it.
func (s Secret) Fingerprint() string {
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:8])
}
