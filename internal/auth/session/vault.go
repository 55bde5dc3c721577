package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"sync"

	"github.com/go-json-experiment/json"

	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

// Scope is what a session is valid for. Stores of different scopes may share a
// Redis: neither finds, ends or opens anything of the other.
type Scope struct {
	Issuer    string // of the ID token
	ClientID  string // the service, as the issuer knows it
	UserClaim string // names the user in the ID token
	Origin    string // where browsers reach the service
}

// sum is the SHA-256 of the scope's parts, each with its length before it.
func (s Scope) sum() []byte {
	sum := sha256.Sum256(joined(s.Issuer, s.ClientID, s.UserClaim, s.Origin))
	return sum[:]
}

// joined returns the parts one after the other, each with its length before it.
func joined(parts ...string) []byte {
	all := make([]byte, 0, 256) // enough for a record's clear parts
	for _, part := range parts {
		all = binary.AppendUvarint(all, uint64(len(part)))
		all = append(all, part...)
	}
	return all
}

// vault names and seals what one scope keeps in Redis.
type vault struct {
	scope    []byte
	sessions []byte        // begins what the names of sessions are hashes of
	keys     []serviceKeys // the first one seals, all open
}

const nonceSize = 12 // bytes, of GCM

// serviceKeys are what one key of the service is used for.
type serviceKeys struct {
	records *sync.Pool  // of hash.Hash: makes the key that seals a session, from the session's own
	names   []byte      // of whatever could be guessed
	owners  cipher.AEAD // seals who a session's user is
}

func newVault(keys keyring.Ring, scope Scope) *vault {
	v := &vault{scope: scope.sum()}
	v.sessions = v.named("session")
	records := keys.Derive("dropgate session record 1", v.scope)
	names := keys.Derive("dropgate session name 1", v.scope)
	owners := keys.Derive("dropgate session owner 1", v.scope)
	for i := range records {
		pool := &sync.Pool{New: func() any { return hmac.New(sha256.New, records[i]) }}
		v.keys = append(v.keys, serviceKeys{pool, names[i], newAEAD(owners[i])})
	}
	return v
}

// newAEAD returns AES-256-GCM.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for another length of key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for another cipher
	}
	return aead
}

// session is the name of a session. It does not depend on the service's keys,
// so that it stays when they rotate: a session's id cannot be guessed.
func (v *vault) session(key Key) string {
	buffer := make([]byte, 0, 128)
	sum := sha256.Sum256(append(append(buffer, v.sessions...), key[:]...))
	return "dropgate:session:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// epoch is the name of the scope's epoch. It holds no secret.
func (v *vault) epoch() string {
	sum := sha256.Sum256(v.named("epoch"))
	return "dropgate:epoch:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// named begins what the names of a kind are hashes of.
func (v *vault) named(kind string) []byte { return joined("dropgate 1", kind, string(v.scope)) }

// names are the names of something under each key of the service, the current
// one first. They are of a bounded length, and say nothing without the key.
func (v *vault) names(kind string, of ...string) []string {
	names := make([]string, len(v.keys))
	for i, key := range v.keys {
		mac := hmac.New(sha256.New, key.names)
		mac.Write(joined(kind, string(joined(of...))))
		names[i] = "dropgate:" + kind + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return names
}

// record is a session in Redis. The scripts need the parts in the clear; the
// sealed parts open only beside the same others.
type record struct {
	name                   string
	deadline, subject, sid string
	data, owner            string // sealed
}

// clear is what the sealed parts are bound to.
func (r record) clear() []byte { return joined("1", r.name, r.deadline, r.subject, r.sid) }

// contents is the form of a Session in a record's data.
type contents struct {
	ID      string         `json:"id"`
	Claims  map[string]any `json:"claims"`
	Subject string         `json:"subject"`
	SID     string         `json:"sid,omitempty"`
	IDToken string         `json:"id_token,omitempty"`
	Epoch   string         `json:"epoch"`
}

// ownership is the form of a record's owner: what a logout without the session's
// id reports.
type ownership struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	SID     string `json:"sid,omitempty"`
}

var errForged = errors.New("a record that this service has not written, or not like this")

// seal fills in the sealed parts of a record.
func (v *vault) seal(r *record, key Key, s Stored, epoch string) error {
	data, err := json.Marshal(contents{s.User.ID, s.User.Claims, s.Subject, s.SID, s.IDToken.Reveal(), epoch}, json.FormatNilMapAsNull(true))
	if err != nil {
		return err //nolint:wrapcheck // of the caller's own
	}
	owner, err := json.Marshal(ownership{s.User.ID, s.Subject, s.SID})
	if err != nil {
		return err //nolint:wrapcheck // likewise
	}
	bound := r.clear()
	r.data = sealed(v.keys[0].sealing(key), data, bound)
	r.owner = sealed(v.keys[0].owners, owner, bound)
	return nil
}

// sealed is a text behind its nonce. Of random nonces one key may have 2^32 (NIST
// SP 800-38D, 8.3), so the key of owners lasts for as many sign-ins.
func sealed(by cipher.AEAD, text, bound []byte) string {
	nonce := make([]byte, nonceSize, nonceSize+len(text)+by.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return string(by.Seal(nonce, nonce, text, bound))
}

// opened is the text that was sealed, or false.
func opened(by cipher.AEAD, sealed string, bound []byte) ([]byte, bool) {
	if len(sealed) < nonceSize {
		return nil, false
	}
	raw := []byte(sealed)
	text, err := by.Open(raw[nonceSize:nonceSize], raw[:nonceSize], raw[nonceSize:], bound)
	return text, err == nil
}

// sealing seals the record of one session. Its key derives from the service's
// and from the session's, which only the cookie leads to.
func (k serviceKeys) sealing(key Key) cipher.AEAD {
	mac, ok := k.records.Get().(hash.Hash)
	if !ok {
		panic("session: something else in the pool")
	}
	defer k.records.Put(mac)
	mac.Reset()
	_, _ = mac.Write(key[:]) // never fails (hash.Hash)
	return newAEAD(mac.Sum(nil))
}

// unsealed is a session and the epoch that it began in.
type unsealed struct {
	Stored

	epoch string
}

// open returns what a record holds.
func (v *vault) open(r record, key Key) (unsealed, error) {
	bound := r.clear()
	for _, service := range v.keys {
		data, ok := opened(service.sealing(key), r.data, bound)
		if !ok {
			continue
		}
		var c contents
		// A record that names nobody must not sign anybody in as "".
		if err := json.Unmarshal(data, &c); err != nil || !clienttoken.ValidUserID(c.ID) {
			return unsealed{}, errForged // err may quote it
		}
		return unsealed{Stored{
			User:    clienttoken.User{ID: c.ID, Claims: c.Claims},
			Subject: c.Subject,
			SID:     c.SID,
			IDToken: clienttoken.NewSecret(c.IDToken),
		}, c.Epoch}, nil
	}
	return unsealed{}, errForged
}

// owned returns whose session a record is, without its claims and its ID token.
func (v *vault) owned(r record) (Stored, error) {
	bound := r.clear()
	for _, service := range v.keys {
		data, ok := opened(service.owners, r.owner, bound)
		if !ok {
			continue
		}
		var o ownership
		if err := json.Unmarshal(data, &o); err != nil {
			return Stored{}, errForged
		}
		return Stored{User: clienttoken.User{ID: o.ID}, Subject: o.Subject, SID: o.SID}, nil
	}
	return Stored{}, errForged
}
