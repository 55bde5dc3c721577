package provider

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// retiredKeys is how many old keys are remembered.
const retiredKeys = 10

// keyring holds the one key that signs and is published, and the public part of
// some before it.
type keyring struct {
	mu        sync.Mutex
	current   jose.JSONWebKey   // private
	retired   []jose.JSONWebKey // the newest first
	rotations int
	fetches   int
}

func (k *keyring) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	k.use(key)
	return nil
}

// use signs with key from now on.
func (k *keyring) use(key *rsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.rotations > 0 {
		k.retired = slices.Insert(k.retired, 0, k.current.Public())
		k.retired = k.retired[:min(len(k.retired), retiredKeys)]
	}
	k.rotations++
	k.current = jose.JSONWebKey{
		Key: key, KeyID: fmt.Sprintf("key-%d", k.rotations), Algorithm: string(jose.RS256), Use: "sig",
	}
}

func (k *keyring) key() jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current
}

// remembered is the current key and those before it.
func (k *keyring) remembered() []jose.JSONWebKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]jose.JSONWebKey{k.current.Public()}, k.retired...)
}

// fetch is the key set for somebody who asked for it over HTTP.
func (k *keyring) fetch() jose.JSONWebKeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetches++
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k.current.Public()}}
}

func (k *keyring) fetched() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fetches
}

// sign makes a JWT of that type out of claims.
func (k *keyring) sign(typ jose.ContentType, claims any) (string, error) {
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

// webKey shows a key in the way that op wants to see it.
type webKey struct{ jwk jose.JSONWebKey }

// ID is the kid.
func (k webKey) ID() string { return k.jwk.KeyID }

// Algorithm is RS256.
func (k webKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// SignatureAlgorithm is RS256 too: op has one name for it in a key that signs,
// and another one in a key that verifies.
func (k webKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Use is "sig".
func (k webKey) Use() string { return k.jwk.Use }

// Key is the key itself.
func (k webKey) Key() any { return k.jwk.Key }
