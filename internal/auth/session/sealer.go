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

// Scope separates stores that share a Redis. A store neither finds, ends nor
// decrypts a session of another scope.
type Scope struct {
	Issuer    string // of the ID token
	ClientID  string // the service at the issuer
	UserClaim string // the claim with the user id
	Origin    string // of the service in browsers
}

// sum returns the SHA-256 of the joined parts.
func (s Scope) sum() []byte {
	sum := sha256.Sum256(joined(s.Issuer, s.ClientID, s.UserClaim, s.Origin))
	return sum[:]
}

// joined concatenates the parts, each after its length.
func joined(parts ...string) []byte {
	all := make([]byte, 0, 256) // enough for a record's plain parts
	for _, part := range parts {
		all = binary.AppendUvarint(all, uint64(len(part)))
		all = append(all, part...)
	}
	return all
}

// sealer names and encrypts the entries of one scope in Redis.
type sealer struct {
	scope    []byte
	tag      string        // hash tag of all names
	sessions []byte        // hash input before a session's key
	keys     []serviceKeys // the first encrypts, all decrypt
}

const nonceSize = 12 // bytes, of GCM

// serviceKeys derive from one of the service's keys.
type serviceKeys struct {
	records *sync.Pool  // of hash.Hash: derives a session's encryption key from its Key
	names   []byte      // HMAC key for guessable names
	owners  cipher.AEAD // encrypts the user behind a session
}

func newSealer(keys keyring.Ring, scope Scope, tag string) *sealer {
	v := &sealer{scope: scope.sum(), tag: tag}
	v.sessions = v.prefix("session")
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
		panic(err) // the key has the wrong length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the cipher is not AES
	}
	return aead
}

// sessionName returns a session's key in Redis. Session ids cannot be guessed, so
// the name needs no service key and survives a rotation.
func (v *sealer) sessionName(key Key) string {
	buffer := make([]byte, 0, 128)
	sum := sha256.Sum256(append(append(buffer, v.sessions...), key[:]...))
	return "dropgate:session:" + v.tag + base64.RawURLEncoding.EncodeToString(sum[:])
}

// epochName returns the epoch's key in Redis.
func (v *sealer) epochName() string {
	sum := sha256.Sum256(v.prefix("epoch"))
	return "dropgate:epoch:" + v.tag + base64.RawURLEncoding.EncodeToString(sum[:])
}

// prefix returns the hash input that all names of a kind share.
func (v *sealer) prefix(kind string) []byte { return joined("dropgate 1", kind, string(v.scope)) }

// names returns the names of an entry under each of the service's keys, the current
// one first. They have a fixed length and reveal nothing without the key.
func (v *sealer) names(kind string, of ...string) []string {
	names := make([]string, len(v.keys))
	for i, key := range v.keys {
		mac := hmac.New(sha256.New, key.names)
		mac.Write(joined(kind, string(joined(of...))))
		names[i] = "dropgate:" + kind + ":" + v.tag + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return names
}

// record is a session in Redis. The scripts read the plain parts. The encrypted
// parts decrypt only together with the same plain parts.
type record struct {
	name                         string
	deadline, subject, sid, user string
	data, owner                  string // encrypted
}

// plain returns the associated data of the encrypted parts. It lacks the user, which
// sessions of earlier versions lack, too; the encrypted parts repeat it.
func (r record) plain() []byte { return joined("1", r.name, r.deadline, r.subject, r.sid) }

// contents is the encoding of a session in record.data.
type contents struct {
	ID      string         `json:"id"`
	Claims  map[string]any `json:"claims"`
	Subject string         `json:"subject"`
	SID     string         `json:"sid,omitempty"`
	IDToken string         `json:"id_token,omitempty"`
	Epoch   string         `json:"epoch"`
	Index   string         `json:"index,omitempty"` // record.user
}

// ownership is the encoding of record.owner, which a logout and an operator's list read
// without the session's id.
type ownership struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	SID     string `json:"sid,omitempty"`
	Started int64  `json:"started,omitempty"` // milliseconds; 0 in sessions of earlier versions
	Epoch   string `json:"epoch,omitempty"`   // empty likewise
}

var errForged = errors.New("forged or damaged record")

// birth is when and in which epoch a session began.
type birth struct {
	epoch   string
	started int64 // milliseconds
}

// seal fills in the encrypted parts of a record.
func (v *sealer) seal(r *record, key Key, s Stored, b birth) error {
	data, err := json.Marshal(contents{s.User.ID, s.User.Claims, s.Subject, s.SID, s.IDToken.Reveal(), b.epoch, r.user}, json.FormatNilMapAsNull(true))
	if err != nil {
		return err //nolint:wrapcheck // the caller adds context
	}
	owner, err := json.Marshal(ownership{s.User.ID, s.Subject, s.SID, b.started, b.epoch})
	if err != nil {
		return err //nolint:wrapcheck // likewise
	}
	bound := r.plain()
	r.data = encrypt(v.keys[0].sessionAEAD(key), data, bound)
	r.owner = encrypt(v.keys[0].owners, owner, bound)
	return nil
}

// encrypt returns the nonce and the ciphertext. A key may have 2^32 random nonces
// (NIST SP 800-38D, 8.3), so serviceKeys.owners suffices for 2^32 sign-ins.
func encrypt(by cipher.AEAD, text, bound []byte) string {
	nonce := make([]byte, nonceSize, nonceSize+len(text)+by.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return string(by.Seal(nonce, nonce, text, bound))
}

// decrypt reverses encrypt. It reports false for a forged text.
func decrypt(by cipher.AEAD, sealed string, bound []byte) ([]byte, bool) {
	if len(sealed) < nonceSize {
		return nil, false
	}
	raw := []byte(sealed)
	text, err := by.Open(raw[nonceSize:nonceSize], raw[:nonceSize], raw[nonceSize:], bound)
	return text, err == nil
}

// sessionAEAD encrypts one session. Its key derives from the service's key and
// the session's Key, which only the cookie contains.
func (k serviceKeys) sessionAEAD(key Key) cipher.AEAD {
	mac, ok := k.records.Get().(hash.Hash)
	if !ok {
		panic("session: the pool holds another type")
	}
	defer k.records.Put(mac)
	mac.Reset()
	_, _ = mac.Write(key[:]) // never fails (hash.Hash)
	return newAEAD(mac.Sum(nil))
}

// unsealed is a decrypted session with the epoch in which it began.
type unsealed struct {
	Stored

	epoch string
}

// open decrypts a record.
func (v *sealer) open(r record, key Key) (unsealed, error) {
	bound := r.plain()
	for _, service := range v.keys {
		data, ok := decrypt(service.sessionAEAD(key), r.data, bound)
		if !ok {
			continue
		}
		var c contents
		// Without a user id the session would be that of "".
		if err := json.Unmarshal(data, &c); err != nil || !clienttoken.ValidUserID(c.ID) || c.Index != r.user {
			return unsealed{}, errForged // err may quote the record
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

// owned decrypts the owner of a record.
func (v *sealer) owned(r record) (ownership, error) {
	bound := r.plain()
	for _, service := range v.keys {
		data, ok := decrypt(service.owners, r.owner, bound)
		if !ok {
			continue
		}
		var o ownership
		if err := json.Unmarshal(data, &o); err != nil {
			return ownership{}, errForged
		}
		return o, nil
	}
	return ownership{}, errForged
}

// stored returns a session without claims and ID token.
func (o ownership) stored() Stored {
	return Stored{User: clienttoken.User{ID: o.ID}, Subject: o.Subject, SID: o.SID}
}
