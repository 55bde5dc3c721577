package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxRetired is how many old keys verify an id_token_hint.
const maxRetired = 10

// signingKeys holds the current key, which signs and is published, and the
// public part of retired ones.
type signingKeys struct {
	// idOf returns the kid of the nth key.
	idOf func(n int, key *rsa.PrivateKey) string

	mu      sync.Mutex
	current jose.JSONWebKey   // private
	retired []jose.JSONWebKey // newest first
	made    int
	fetches int
}

// NewKey makes a key for Options.Key.
func NewKey() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}

// rotate makes a key, hands it to keep unless that is nil, and signs with it.
func (k *signingKeys) rotate(keep func(*rsa.PrivateKey) error) error {
	key, err := NewKey()
	if err != nil {
		return err
	}
	if keep != nil {
		if err := keep(key); err != nil {
			return fmt.Errorf("keeping the new key: %w", err)
		}
	}
	k.use(key)
	return nil
}

// use signs with key from now on.
func (k *signingKeys) use(key *rsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.made > 0 {
		k.retired = slices.Insert(k.retired, 0, k.current.Public())
		k.retired = k.retired[:min(len(k.retired), maxRetired)]
	}
	k.made++
	k.current = jose.JSONWebKey{Key: key, KeyID: k.idOf(k.made, key), Algorithm: string(jose.RS256), Use: "sig"}
}

// numbered is the kid of a key in memory. Two providers have the same kids, so tests
// find clients with trust in a kid alone.
func numbered(n int, _ *rsa.PrivateKey) string { return fmt.Sprintf("key-%d", n) }

// derived is the kid of a key in a file. It is the same after each restart, and no two
// keys share one.
func derived(_ int, key *rsa.PrivateKey) string {
	sum := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return "key-" + hex.EncodeToString(sum[:8])
}

func (k *signingKeys) key() jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// all returns the current key and the retired ones.
func (k *signingKeys) all() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]jose.JSONWebKey{k.current.Public()}, k.retired...)
}

// fetch returns the published key set and counts the request.
func (k *signingKeys) fetch() jose.JSONWebKeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetches++
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.current.Public()}}
}

func (k *signingKeys) fetchCount() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fetches
}

// sign returns a JWT with the claims and this typ header.
func (k *signingKeys) sign(typ jose.ContentType, claims any) (string, error) {
	options := (&jose.SignerOptions{}).WithType(typ)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.key()}, options)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// webKey adapts a key to op.SigningKey and op.Key.
type webKey struct{ jwk jose.JSONWebKey }

// ID returns the kid.
func (k webKey) ID() string { return k.jwk.KeyID }

// Algorithm is RS256. It belongs to op.Key.
func (k webKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// SignatureAlgorithm is RS256. It belongs to op.SigningKey.
func (k webKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Use is "sig".
func (k webKey) Use() string { return k.jwk.Use }

// Key returns the key itself.
func (k webKey) Key() any { return k.jwk.Key }
