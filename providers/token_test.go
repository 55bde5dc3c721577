package providers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

type object = map[string]any

// keyOf returns the one key of all providers for an algorithm.
func keyOf(algorithm string) crypto.Signer {
	switch algorithm {
	case "ES256":
		return ecKey()
	case "ES384":
		return ec384Key()
	case "EdDSA":
		return edKey()
	}
	return rsaKey()
}

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec384Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { _, key, err := ed25519.GenerateKey(rand.Reader); return must(key, err) })
)

const keyID = "the-key"

// keys is a JSON Web Key Set with a key for the algorithm.
func keys(algorithm string) any {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: keyOf(algorithm).Public(), KeyID: keyID, Algorithm: algorithm, Use: "sig"}}}
}

// certificates is the document of Firebase with the key for RS256.
func certificates() any {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey()))
	return object{keyID: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// token is a token as a provider makes it.
type token struct {
	algorithm string
	header    object // besides alg and kid
	claims    object // besides iat and exp
}

// text signs the token.
func (t token) text() string {
	var key any = keyOf(t.algorithm)
	if t.algorithm == "HS256" {
		key = []byte("the shared secret of the project")
	}
	now := time.Now()
	claims := object{"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, t.claims)
	return signed{t.algorithm, key, keyID, t.header}.text(claims)
}

// signed says how to sign claims.
type signed struct {
	algorithm string
	key       any
	kid       string // empty for none
	header    object // besides alg and kid
}

func (s signed) text(claims object) string {
	options := &jose.SignerOptions{}
	for name, value := range s.header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.algorithm), Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, options))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// toObject returns a document as an object to edit.
func toObject(document any) (object, error) {
	var o object
	err := json.Unmarshal(must(json.Marshal(document)), &o)
	return o, err
}
