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
	"time"

	"golang.org/x/oauth2"

	"dropgate/internal/keyring"
)

// loginRecord is one sign-in that has begun. It travels in a cookie, sealed, so
// that strangers who begin sign-ins fill nobody's memory; each has a cookie of
// its own, so that several tabs can sign in at once. That it counts once is kept
// by the session store (docs/decisions/0007).
type loginRecord struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	ReturnTo string    `json:"return_to"`
	Began    time.Time `json:"began"`
	Replaces []byte    `json:"replaces"` // the key of the session that the browser had, or nil
}

const (
	loginLife = 10 * time.Minute
	maxLogins = 5 // of one browser
	// loginSlots is how many cookies there can be, also of sign-ins that begin at
	// the same moment and know nothing of each other: so many fit into the
	// headers of a request beside everything else. A state tells its slot.
	loginSlots = 8
)

func newLoginRecord(returnTo string) loginRecord {
	return loginRecord{
		State:    rand.Text(), // 130 bits, as is the nonce
		Nonce:    rand.Text(),
		Verifier: oauth2.GenerateVerifier(),
		ReturnTo: returnTo,
		Began:    time.Now(),
	}
}

// newSeals makes the ciphers of login records. All replicas have the keys.
func newSeals(keys keyring.Ring) []cipher.AEAD {
	var seals []cipher.AEAD
	for _, key := range keys.Derive("dropgate login record 1", nil) {
		block, err := aes.NewCipher(key)
		if err != nil {
			panic(err) // only for another length of key
		}
		seal, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			panic(err) // only for another cipher
		}
		seals = append(seals, seal)
	}
	return seals
}

// loginCookie is the name of the cookie for a state. Others have the same one.
func (o *OIDC) loginCookie(state string) string {
	sum := sha256.Sum256([]byte(state))
	return o.cookies.name("login-") + strconv.Itoa(int(sum[0])%loginSlots)
}

// settle gives the record a state whose cookie is none of those that are kept.
func (o *OIDC) settle(record *loginRecord, kept []string) {
	for slices.Contains(kept, o.loginCookie(record.State)) {
		record.State = rand.Text()
	}
}

// sealed is the record as a cookie's value, which opens under no other name.
func (o *OIDC) sealed(name string, record loginRecord) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // or an & would be six bytes, and a cookie that is too large is not kept
	if err := encoder.Encode(record); err != nil {
		return "", err //nolint:wrapcheck // of a type that cannot be written: a fault of ours
	}
	return base64.RawURLEncoding.EncodeToString(o.seals[0].Seal(nil, nil, text.Bytes(), []byte(name))), nil //nolint:gosec // this cipher makes its nonces by itself
}

// opened is the record of a cookie, and false for a cookie that is not ours, or
// too old.
func (o *OIDC) opened(name, value string) (loginRecord, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return loginRecord{}, false
	}
	for _, seal := range o.seals {
		text, err := seal.Open(nil, nil, raw, []byte(name))
		if err != nil {
			continue
		}
		var record loginRecord
		if json.Unmarshal(text, &record) != nil || time.Since(record.Began) >= loginLife {
			return loginRecord{}, false
		}
		return record, true
	}
	return loginRecord{}, false
}

// worthKeeping are the names of the cookies that a browser keeps when another one
// comes: those that are still good, but the oldest where there are too many.
func (o *OIDC) worthKeeping(logins []*http.Cookie) []string {
	began := make(map[string]time.Time, len(logins))
	for _, cookie := range logins {
		if record, ok := o.opened(cookie.Name, cookie.Value); ok && cookie.Name == o.loginCookie(record.State) {
			began[cookie.Name] = record.Began
		}
	}
	names := slices.SortedFunc(maps.Keys(began), func(a, b string) int { return began[b].Compare(began[a]) })
	return names[:min(len(names), maxLogins-1)]
}

// superfluous are the deletions of cookies that are not kept.
func (o *OIDC) superfluous(logins []*http.Cookie, kept []string) []*http.Cookie {
	var gone []*http.Cookie
	for _, cookie := range logins {
		if !slices.Contains(kept, cookie.Name) {
			gone = append(gone, o.cookies.deletedLogin(cookie.Name))
		}
	}
	return gone
}
