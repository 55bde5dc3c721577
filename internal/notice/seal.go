package notice

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"strings"
)

// sealer encrypts the notices of one sender.
type sealer struct {
	aead            cipher.AEAD
	channel, sender string
}

// newSealer derives the key from a secret.
func newSealer(secret []byte, channel, sender string) sealer {
	key, err := hkdf.Key(sha256.New, secret, nil, "dropgate notices 1", sha256.Size)
	if err != nil {
		panic(err) // never: only a length beyond 255 hashes fails
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // never: the key has 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // never: the cipher is AES
	}
	return sealer{aead, channel, sender}
}

// step is the multiple of bytes to which texts are padded. Their exact length would
// distinguish users.
const step = 128

// seal returns the message of a notice. A key may seal 2^32 of them (NIST SP 800-38D,
// 8.3).
func (s sealer) seal(n Notice) []byte {
	text := strings.Join([]string{s.sender, n.Topic, n.Name}, "\x00") + "\x00"
	text += strings.Repeat("\x00", (step-len(text)%step)%step)
	return s.aead.Seal(nil, nil, []byte(text), []byte(s.channel)) //nolint:gosec // the cipher makes a random nonce
}

// sealed is the content of a message.
type sealed struct {
	sender string
	notice Notice
}

// maxMessage bounds a message that is worth decrypting.
const maxMessage = maxText + 2*step + 64

// open reads a message. It reports false for a message of another service or another
// secret.
func (s sealer) open(message string) (sealed, bool) {
	if len(message) > maxMessage {
		return sealed{}, false
	}
	text, err := s.aead.Open(nil, nil, []byte(message), []byte(s.channel))
	if err != nil {
		return sealed{}, false
	}
	parts := strings.SplitN(strings.TrimRight(string(text), "\x00"), "\x00", 3)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	return sealed{parts[0], Notice{parts[1], parts[2]}}, true
}
