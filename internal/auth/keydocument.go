package auth

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxSkipped bounds the unusable keys of one document in the log.
const maxSkipped = 20

// keyDocument is a document with the provider's keys.
type keyDocument struct {
	usable  *publicKeys
	skipped []string // reasons, of at most maxSkipped keys
}

// parseKeys parses a JSON Web Key Set (RFC 7517, 5), or an object of certificates in
// PEM by kid, as Firebase publishes it.
func parseKeys(document map[string]json.RawMessage, now time.Time) (keyDocument, error) {
	d := keyDocument{usable: &publicKeys{}}
	add := func(key publicKey, err error) {
		if err == nil {
			d.usable.list = append(d.usable.list, key)
		} else if len(d.skipped) < maxSkipped {
			d.skipped = append(d.skipped, err.Error())
		}
	}
	if raw, ok := document["keys"]; ok {
		var keys []json.RawMessage
		if err := json.Unmarshal(raw, &keys); err != nil {
			return keyDocument{}, errors.New("is not a key set: its member keys is not an array")
		}
		for _, key := range keys {
			add(parseJWK(key))
		}
		return d, nil
	}
	for _, id := range slices.Sorted(maps.Keys(document)) {
		add(parseCertificate(id, document[id], now))
	}
	return d, nil
}

// parseCertificate parses a certificate in PEM, for its key. The document comes from
// the provider by TLS, so nobody else needs to have signed the certificate.
func parseCertificate(id string, raw json.RawMessage, now time.Time) (publicKey, error) {
	skip := func(reason string) (publicKey, error) { return publicKey{}, fmt.Errorf("kid %.100q: %s", id, reason) }
	block, _ := pem.Decode([]byte(stringMember(raw)))
	if block == nil || block.Type != "CERTIFICATE" {
		return skip("not a certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return skip("its certificate is malformed")
	}
	if now.Before(certificate.NotBefore.Add(-maxSkew)) || now.After(certificate.NotAfter.Add(maxSkew)) {
		return skip("its certificate is not valid now")
	}
	fitting := algorithmsOf(certificate.PublicKey)
	if len(fitting) == 0 {
		return skip(errWeakKey.Error())
	}
	return publicKey{id: id, algorithms: fitting, public: certificate.PublicKey}, nil
}
