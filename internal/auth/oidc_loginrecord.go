package auth

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"dropgate/internal/keyring"
)

// loginRecord is one pending sign-in. It travels in an encrypted cookie, so that
// strangers starting sign-ins cost no memory. Each sign-in has its own cookie, so
// that several tabs can sign in at once. The session store makes sure that a
// record works only once (docs/decisions/0007).
type loginRecord struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	ReturnTo string    `json:"return_to"`
	Began    time.Time `json:"began"`
	Replaces []byte    `json:"replaces"` // the key of the browser's previous session, or nil
	Returned bool      `json:"returned"` // the browser has loaded the callback once
}

const (
	loginLife = 10 * time.Minute
	maxLogins = 5 // sign-ins under way per browser; at most loginSlots
	// loginSlots bounds the cookie names, even if sign-ins start concurrently.
	// This many cookies fit into the headers of a request. The state determines
	// the slot.
	loginSlots = 8
	// usualReturnTo is the most bytes of a return_to in these cookies. All records
	// with a longer one share one name, because eight of them would not fit.
	usualReturnTo = 512
	longState     = "long-" // begins the state of such a record

	// Does not compile if maxLogins exceeds loginSlots: avoidSlots needs a free one.
	_ = uint(loginSlots - maxLogins)
)

func newLoginRecord(returnTo string) loginRecord {
	state := rand.Text() // 130 bits, like the nonce
	if len(returnTo) > usualReturnTo {
		state = longState + state
	}
	return loginRecord{
		State:    state,
		Nonce:    rand.Text(),
		Verifier: oauth2.GenerateVerifier(),
		ReturnTo: returnTo,
		Began:    time.Now(),
	}
}

// newRecordCiphers returns the ciphers of login records. All replicas share the
// keys.
func newRecordCiphers(keys keyring.Ring) []cipher.AEAD {
	var ciphers []cipher.AEAD
	for _, key := range keys.Derive("dropgate login record 1", nil) {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err) // impossible for this key length
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			panic(err) // impossible for AES
		}
		ciphers = append(ciphers, aead)
	}
	return ciphers
}

// loginCookieName returns the cookie name for a state. States can share a name.
func (o *OIDC) loginCookieName(state string) string {
	if strings.HasPrefix(state, longState) {
		return o.cookies.name("login-long")
	}
	sum := sha256.Sum256([]byte(state))
	return o.cookies.name("login-") + strconv.Itoa(int(sum[0])%loginSlots)
}

// avoidSlots gives the record a state with an unused cookie name. A long record
// replaces the browser's previous long one.
func (o *OIDC) avoidSlots(record *loginRecord, used []string) {
	for !strings.HasPrefix(record.State, longState) && slices.Contains(used, o.loginCookieName(record.State)) {
		record.State = rand.Text()
	}
}

// seal encrypts the record as the value of a cookie. It decrypts under this name
// only.
func (o *OIDC) seal(name string, record loginRecord) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // escaping makes & six bytes, and browsers drop large cookies
	if err := encoder.Encode(record); err != nil {
		return "", err //nolint:wrapcheck // impossible for this type
	}
	return base64.RawURLEncoding.EncodeToString((*o.ciphers.Load())[0].Seal(nil, nil, text.Bytes(), []byte(name))), nil //nolint:gosec // the cipher generates its nonces
}

func (record loginRecord) expired() bool { return time.Since(record.Began) >= loginLife }

// open decrypts the record in a cookie. It returns false if the cookie is not ours
// or too old.
func (o *OIDC) open(name, value string) (loginRecord, bool) {
	record, ok := o.unseal(name, value)
	if !ok || record.expired() {
		return loginRecord{}, false
	}
	return record, true
}

// unseal decrypts the record in a cookie of any age. It returns false if the cookie is
// not ours.
func (o *OIDC) unseal(name, value string) (loginRecord, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return loginRecord{}, false
	}
	for _, aead := range *o.ciphers.Load() {
		text, err := aead.Open(nil, nil, raw, []byte(name))
		if err != nil {
			continue
		}
		var record loginRecord
		return record, json.Unmarshal(text, &record) == nil
	}
	return loginRecord{}, false
}

// loginsToKeep returns the names of the cookies to keep beside a new one: the
// newest valid ones.
func (o *OIDC) loginsToKeep(logins []*http.Cookie) []string {
	began := make(map[string]time.Time, len(logins))
	for _, cookie := range logins {
		if record, ok := o.open(cookie.Name, cookie.Value); ok && cookie.Name == o.loginCookieName(record.State) {
			began[cookie.Name] = record.Began
		}
	}
	names := slices.SortedFunc(maps.Keys(began), func(a, b string) int { return began[b].Compare(began[a]) })
	return names[:min(len(names), maxLogins-1)]
}

// deleteLoginsExcept returns cookies to delete all others than the kept ones.
func (o *OIDC) deleteLoginsExcept(logins []*http.Cookie, kept []string) []*http.Cookie {
	var deleted []*http.Cookie
	for _, cookie := range logins {
		if !slices.Contains(kept, cookie.Name) {
			deleted = append(deleted, o.cookies.deletedLogin(cookie.Name))
		}
	}
	return deleted
}
