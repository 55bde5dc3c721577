package auth

import (
	"crypto"
	"crypto/sha1" //nolint:gosec // x5t is a SHA-1 by definition (RFC 7515, 4.1.7)
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"dropgate/internal/clienttoken"
)

// ClientKey is a private key of the service at the provider, for private_key_jwt.
type ClientKey struct {
	private     crypto.Signer
	id          string // RFC 7638
	certificate []byte // of the key, in DER; may be empty
}

// maxClientKeys bounds the keys in one file: the present one, the next one and the
// last one.
const maxClientKeys = 3

// ParseClientKeys parses private keys in PEM (PKCS #8, or the older forms for RSA and
// EC), the first one first. The certificate of a key may follow it: some providers know
// keys by their certificate. The error never quotes the text.
func ParseClientKeys(text clienttoken.Secret) ([]*ClientKey, error) {
	var keys []*ClientKey
	rest := []byte(text.Reveal())
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		var err error
		if keys, err = addBlock(keys, block); err != nil {
			return nil, err
		}
	}
	switch {
	case len(keys) == 0 || strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("is not a private key in PEM")
	case len(keys) > maxClientKeys:
		return nil, fmt.Errorf("has more than %d keys", maxClientKeys)
	}
	return keys, nil
}

// addBlock adds a key, or the certificate of the last one.
func addBlock(keys []*ClientKey, block *pem.Block) ([]*ClientKey, error) {
	if block.Type == "CERTIFICATE" {
		return keys, addCertificate(keys, block.Bytes)
	}
	key, err := parseClientKey(block)
	if err != nil {
		return nil, err
	}
	return append(keys, key), nil
}

// addCertificate adds a certificate to the key before it.
func addCertificate(keys []*ClientKey, der []byte) error {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return errors.New("has a malformed certificate")
	}
	if len(keys) == 0 {
		return errors.New("begins with a certificate; the private key comes first")
	}
	last := keys[len(keys)-1]
	public, ok := last.private.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(certificate.PublicKey) {
		return errors.New("has a certificate of another key than the one before it")
	}
	if last.certificate == nil { // others belong to authorities
		last.certificate = der
	}
	return nil
}

func parseClientKey(block *pem.Block) (*ClientKey, error) {
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("has a block %.40q, which is not an unencrypted private key", block.Type)
	}
	if err != nil {
		return nil, errors.New("has a malformed private key")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok || len(algorithmsOf(private.Public())) == 0 {
		return nil, fmt.Errorf("has a key that cannot sign: %w", errWeakKey)
	}
	thumbprint, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, errors.New("has a key that cannot sign")
	}
	return &ClientKey{private: private, id: base64.RawURLEncoding.EncodeToString(thumbprint)}, nil
}

// sign signs claims, with the first algorithm of the key that the provider announces.
// An empty list means that it announces none.
func (k *ClientKey) sign(announced []string, claims jwt.Claims) (string, error) {
	own := algorithmsOf(k.private.Public())
	at := slices.IndexFunc(own, func(name string) bool {
		return name != string(ed25519Algorithm) && (len(announced) == 0 || slices.Contains(announced, name))
	})
	if at < 0 {
		return "", fmt.Errorf("the provider accepts none of %s", strings.Join(own, ", "))
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.id)
	if k.certificate != nil {
		first, second := sha1.Sum(k.certificate), sha256.Sum256(k.certificate) //nolint:gosec // as above
		options.WithHeader("x5t", base64.RawURLEncoding.EncodeToString(first[:]))
		options.WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(second[:]))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(own[at]), Key: k.private}, options)
	if err != nil {
		return "", errors.New("the key cannot sign")
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", errors.New("the key cannot sign")
	}
	return text, nil
}
