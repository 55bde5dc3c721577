package session

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

func testSealer(secret string, scope Scope) *sealer {
	return newSealer(keyring.Of(clienttoken.NewSecret(secret)), scope, "")
}

var someScope = Scope{Issuer: "https://id.example.com", ClientID: "dropgate", UserClaim: "sub", Origin: "https://app.example.com"}

// sealedIn returns the record of a session.
func sealedIn(t testing.TB, v *sealer, key Key, s Stored) record {
	t.Helper()
	r := record{name: v.sessionName(key), deadline: "1772366400123", subject: v.names("subject", s.Subject)[0], sid: v.names("sid", s.SID)[0]}
	if err := v.seal(&r, key, s, birth{"1-a", 1}); err != nil {
		t.Fatal(err)
	}
	return r
}

func aSession() Stored {
	return Stored{
		User:    clienttoken.User{ID: "alice", Claims: map[string]any{"sub": "alice", "list": []any{nil, map[string]any{}}}},
		Subject: "alice", SID: "one", IDToken: clienttoken.NewSecret("a.b.c"),
	}
}

func TestRecordDecryptsOnlyAsAWhole(t *testing.T) {
	v, key := testSealer("secret", someScope), Key{1}
	r, other := sealedIn(t, v, key, aSession()), sealedIn(t, v, Key{2}, Stored{User: clienttoken.User{ID: "mallory"}, Subject: "mallory"})
	s, err := v.open(r, key)
	if diff := cmp.Diff(aSession(), s.Stored, cmpopts.IgnoreFields(Stored{}, "IDToken")); diff != "" || err != nil || s.epoch != "1-a" || s.IDToken.Reveal() != "a.b.c" {
		t.Fatal(diff, err)
	}
	for name, change := range map[string]func(r *record){
		"another name":           func(r *record) { r.name = other.name },
		"a later deadline":       func(r *record) { r.deadline = "1772366400124" },
		"another subject":        func(r *record) { r.subject = other.subject },
		"another sid":            func(r *record) { r.sid = "" },
		"another session's data": func(r *record) { r.data = other.data },
		"shifted parts":          func(r *record) { r.deadline, r.subject = r.deadline+r.subject[:1], r.subject[1:] },
		"owner instead of data":  func(r *record) { r.data = r.owner },
		"nothing":                func(r *record) { r.data = "" },
	} {
		changed := r
		change(&changed)
		if s, err := v.open(changed, key); !errors.Is(err, errForged) || s.User.ID != "" {
			t.Errorf("%s: decrypts as %q, %v", name, s.User.ID, err)
		}
	}
	if _, err := v.open(other, key); err == nil {
		t.Error("another session's record decrypts with this session's key")
	}
	swapped := r
	swapped.owner = other.owner
	if _, err := v.owned(swapped); err == nil {
		t.Error("another session's owner decrypts")
	}
}

func TestRecordDecryptsOnlyInItsScope(t *testing.T) {
	r := sealedIn(t, testSealer("secret", someScope), Key{1}, aSession())
	for name, v := range map[string]*sealer{
		"another secret": testSealer("secret2", someScope),
		"another issuer": testSealer("secret", Scope{"https://id.example.org", "dropgate", "sub", "https://app.example.com"}),
		"another client": testSealer("secret", Scope{"https://id.example.com", "dropgate2", "sub", "https://app.example.com"}),
		"another claim":  testSealer("secret", Scope{"https://id.example.com", "dropgate", "email", "https://app.example.com"}),
		"another origin": testSealer("secret", Scope{"https://id.example.com", "dropgate", "sub", "https://app.example.org"}),
		"shifted parts":  testSealer("secret", Scope{"https://id.example.comd", "ropgate", "sub", "https://app.example.com"}),
	} {
		if _, err := v.open(r, Key{1}); err == nil {
			t.Errorf("%s: it decrypts", name)
		}
		if _, err := v.owned(r); err == nil {
			t.Errorf("%s: the owner decrypts", name)
		}
		if name != "another secret" && (v.sessionName(Key{1}) == r.name || v.epochName() == testSealer("secret", someScope).epochName()) {
			t.Errorf("%s: it has the same name", name)
		}
		if v.names("subject", "alice")[0] == r.subject {
			t.Errorf("%s: the index has the same name", name)
		}
	}
}

// addStored seeds the corpus with changes of a good record.
func addStored(f *testing.F, good record, ends string) {
	for at := range len(good.data) {
		f.Add(uint16(at), byte(1), "", ends, "", "", "")
	}
	f.Add(uint16(0), byte(0), "", ends, "", "", "")
	f.Add(uint16(0), byte(0), "", "1772366400124", "", "", "")
	for _, data := range []string{"null", "{}", `{"id":"alice"}`, strings.Repeat("[", 11_000), good.owner, good.data + "x", good.data[:12]} {
		f.Add(uint16(0), byte(0), data, ends, "", "", "")
	}
	for _, wrong := range []string{"0", "-1", "1e3", "99999999999999999999", " 1", "+1", "0x1", "nan", "inf"} {
		f.Add(uint16(0), byte(0), "", wrong, "", "", "")
		f.Add(uint16(0), byte(0), "", ends, wrong, "", "")
		f.Add(uint16(0), byte(0), "", ends, "", wrong, wrong)
	}
}

// A changed record or answer yields the original session or ErrNone.
func FuzzStoredSession(f *testing.F) {
	v, key := testSealer("secret", someScope), Key{1}
	good := sealedIn(f, v, key, aSession())
	const ends = "1772366400000"
	store := NewRedis(RedisConfig{
		Client: redis.NewClient(&redis.Options{}), Keys: keyring.Of(clienttoken.NewSecret("secret")), Scope: someScope,
		Limits: Limits{Now: func() time.Time { return time.UnixMilli(1772366000000) }, Lifetime: time.Hour},
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	store.epochs.learn("1-a-0-0")
	addStored(f, good, ends)
	f.Fuzz(func(t *testing.T, at uint16, flip byte, data, ends, deadline, subject, sid string) {
		r := good
		r.data, r.deadline = or(data, r.data), or(deadline, r.deadline)
		r.subject, r.sid = or(subject, r.subject), or(sid, r.sid)
		changed := []byte(r.data)
		changed[int(at)%len(changed)] ^= flip
		r.data = string(changed)
		f, err := readFound([]any{int64(1), int64(0), "", r.data, strings.Join([]string{ends, r.deadline, r.subject, r.sid, ""}, " ")})
		if err != nil {
			t.Fatal(err)
		}
		f.name = good.name
		s, err := store.verify(f, key, store.config.Limits.Now())
		if r != good {
			if !errors.Is(err, ErrNone) || s.User.ID != "" {
				t.Fatalf("a changed record is a session of %q, %v", s.User.ID, err)
			}
			return
		}
		if err == nil { // otherwise it has expired
			checkStored(t, s, store.config.Limits.Now())
		}
	})
}

// checkStored compares a session with the original.
func checkStored(t *testing.T, s Stored, now time.Time) {
	t.Helper()
	s.Over = nil
	if s.Expires.After(time.UnixMilli(1772366400123)) || !s.Expires.After(now) {
		t.Errorf("it ends at %v", s.Expires)
	}
	if diff := cmp.Diff(aSession(), s, cmpopts.IgnoreFields(Stored{}, "Expires", "IDToken")); diff != "" {
		t.Error(diff)
	}
}

// or returns the first non-empty text.
func or(given, otherwise string) string {
	if given != "" {
		return given
	}
	return otherwise
}

func checkOutage(t *testing.T, err error) {
	t.Helper()
	if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.Code != clienttoken.Unavailable || failure.RetryAfter <= 0 {
		t.Errorf("%v (a %T), want an outage", err, err)
	}
}

// A malformed answer must not sign a user out or bypass the rate limits.
func TestMalformedAnswerIsAnOutage(t *testing.T) {
	full := []any{int64(1), int64(1), "", "data", "1 2 subject sid limit"}
	answers := [][]any{nil, {int64(1)}, {int64(1), nil}, {int64(1), int64(1)}, {"1", int64(1), ""}, {int64(1), int64(1), nil}, append(slices.Clone(full), "more")}
	for i := range full {
		for _, wrong := range []any{nil, []any{}, errors.New("x")} {
			answer := slices.Clone(full)
			answer[i] = wrong
			answers = append(answers, answer)
		}
	}
	for _, answer := range answers {
		if _, err := readFound(answer); err == nil {
			t.Errorf("%v is accepted", answer)
		} else {
			checkOutage(t, err)
		}
	}
}

func TestEachSealUsesANewNonce(t *testing.T) {
	v := testSealer("secret", someScope)
	one, two := sealedIn(t, v, Key{1}, aSession()), sealedIn(t, v, Key{1}, aSession())
	if bytes.Equal([]byte(one.data[:12]), []byte(two.data[:12])) || one.data == two.data || one.owner == two.owner {
		t.Error("a nonce was used twice")
	}
}
