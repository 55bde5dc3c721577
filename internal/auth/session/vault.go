package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

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
	var all []byte
	for _, part := range parts {
		all = binary.AppendUvarint(all, uint64(len(part)))
		all = append(all, part...)
	}
	return all
}

// vault names and seals what one scope keeps in Redis.
type vault struct {
	scope []byte
	keys  []serviceKeys // the first one seals, all open
}

// serviceKeys are what one key of the service is used for.
type serviceKeys struct {
	records []byte      // makes the key that seals a session, from the session's own key
	names   []byte      // of whatever could be guessed
	owners  cipher.AEAD // seals who a session's user is
}

func newVault(keys keyring.Ring, scope Scope) *vault {
	v := &vault{scope: scope.sum()}
	records := keys.Derive("dropgate session record 1", v.scope)
	names := keys.Derive("dropgate session name 1", v.scope)
	owners := keys.Derive("dropgate session owner 1", v.scope)
	for i := range records {
		v.keys = append(v.keys, serviceKeys{records[i], names[i], newAEAD(owners[i])})
	}
	return v
}

// newAEAD returns AES-256-GCM that makes its nonces itself.
func newAEAD(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for another length of key
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for another cipher
	}
	return aead
}

// session is the name of a session. It does not depend on the service's keys,
// so that it stays when they rotate: a session's id cannot be guessed.
func (v *vault) session(key Key) string {
	return "dropgate:session:" + v.hash("session", key[:])
}

// epoch is the name of the scope's epoch. It holds no secret.
func (v *vault) epoch() string { return "dropgate:epoch:" + v.hash("epoch", nil) }

func (v *vault) hash(kind string, of []byte) string {
	sum := sha256.Sum256(append(joined("dropgate 1", kind, string(v.scope)), of...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

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
func (v *vault) seal(r *record, key Key, s Session, epoch string) error {
	data, err := json.Marshal(contents{s.User.ID, s.User.Claims, s.Subject, s.SID, s.IDToken.Reveal(), epoch}, json.FormatNilMapAsNull(true))
	if err != nil {
		return err //nolint:wrapcheck // of the caller's own
	}
	owner, err := json.Marshal(ownership{s.User.ID, s.Subject, s.SID})
	if err != nil {
		return err //nolint:wrapcheck // likewise
	}
	bound := r.clear()
	r.data = string(v.keys[0].sealing(key).Seal(nil, nil, data, bound))
	r.owner = string(v.keys[0].owners.Seal(nil, nil, owner, bound))
	return nil
}

// sealing seals the record of one session. Its key derives from the service's
// and from the session's, which only the cookie leads to.
func (k serviceKeys) sealing(key Key) cipher.AEAD {
	mac := hmac.New(sha256.New, k.records)
	mac.Write(key[:])
	return newAEAD(mac.Sum(nil))
}

// open returns the session of a record and the epoch that it began in.
func (v *vault) open(r record, key Key) (Session, string, error) {
	bound := r.clear()
	for _, service := range v.keys {
		data, err := service.sealing(key).Open(nil, nil, []byte(r.data), bound)
		if err != nil {
			continue
		}
		var c contents
		// A record that names nobody must not sign anybody in as "".
		if err := json.Unmarshal(data, &c); err != nil || !clienttoken.ValidUserID(c.ID) {
			return Session{}, "", errForged // err may quote it
		}
		return Session{
			User:    clienttoken.User{ID: c.ID, Claims: c.Claims},
			Subject: c.Subject,
			SID:     c.SID,
			IDToken: clienttoken.NewSecret(c.IDToken),
		}, c.Epoch, nil
	}
	return Session{}, "", errForged
}

// owned returns whose session a record is, without its claims and its ID token.
func (v *vault) owned(r record) (Session, error) {
	bound := r.clear()
	for _, service := range v.keys {
		data, err := service.owners.Open(nil, nil, []byte(r.owner), bound)
		if err != nil {
			continue
		}
		var o ownership
		if err := json.Unmarshal(data, &o); err != nil {
			return Session{}, errForged
		}
		return Session{User: clienttoken.User{ID: o.ID}, Subject: o.Subject, SID: o.SID}, nil
	}
	return Session{}, errForged
}
