package auth

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/keyring"
)

// Records are only visible from inside.

func oidcSealingWith(secret string) *OIDC {
	return NewOIDC(OIDCConfig{
		Issuer: "https://id.example.com", ClientID: "c", ClientSecret: clienttoken.NewSecret(secret), UserClaim: "sub",
		Origin: "https://app.example.com", Registerer: prometheus.NewRegistry(),
		Keys: NewKeySet(KeySetConfig{Issuer: "https://id.example.com", Registerer: prometheus.NewRegistry()}),
	})
}

func TestLoginRecordSurvivesSealing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, record := oidcSealingWith("secret"), newLoginRecord("/page?a=b")
		record.Replaces, record.Returned = bytes.Repeat([]byte{1}, 32), true
		value, err := o.seal("name", record)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := oidcSealingWith("secret").open("name", value) // another replica
		if diff := cmp.Diff(record, got); diff != "" || !ok {
			t.Error(diff)
		}
		for name, open := range map[string]func() bool{
			"another name":   func() bool { _, ok := o.open("other", value); return ok },
			"another secret": func() bool { _, ok := oidcSealingWith("other").open("name", value); return ok },
			"padded":         func() bool { _, ok := o.open("name", value+"="); return ok },
			"twice":          func() bool { _, ok := o.open("name", value+value); return ok },
			"too late":       func() bool { <-time.After(loginLife); _, ok := o.open("name", value); return ok },
		} {
			if name != "too late" && open() {
				t.Errorf("%s: it opens", name)
			}
		}
		<-time.After(loginLife - time.Nanosecond)
		if _, ok := o.open("name", value); !ok {
			t.Error("it does not open at the last moment")
		}
		<-time.After(time.Nanosecond)
		if _, ok := o.open("name", value); ok {
			t.Error("it opens after 10 minutes")
		}
	})
}

// In each step, every replica opens the others' records.
func TestLoginRecordOpensDuringKeyRotation(t *testing.T) {
	with := func(list string) *OIDC {
		keys, err := keyring.Parse(clienttoken.NewSecret(list))
		if err != nil {
			t.Fatal(err)
		}
		c := oidcSealingWith("secret").config
		c.SealingKeys, c.Registerer = keys, prometheus.NewRegistry()
		return NewOIDC(c)
	}
	old := base64.StdEncoding.EncodeToString([]byte("the old key of thirty-two bytes!"))
	next := base64.StdEncoding.EncodeToString([]byte("the new key of thirty-two bytes!"))
	steps := []*OIDC{with(old), with(old + "," + next), with(next + "," + old), with(next)}
	for i, pair := range [][2]*OIDC{{steps[0], steps[1]}, {steps[1], steps[0]}, {steps[1], steps[2]}, {steps[2], steps[1]}, {steps[2], steps[3]}, {steps[3], steps[2]}} {
		value, err := pair[0].seal("name", newLoginRecord("/"))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := pair[1].open("name", value); !ok {
			t.Errorf("pair %d does not open it", i)
		}
	}
	value, err := steps[0].seal("name", newLoginRecord("/"))
	if _, ok := steps[3].open("name", value); ok || err != nil {
		t.Error("a key that has left the list opens")
	}
}

func TestSealedLoginRecordIsTamperProof(t *testing.T) {
	o := oidcSealingWith("secret")
	value, err := o.seal("name", newLoginRecord("/"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, ok := o.open("name", base64.RawURLEncoding.EncodeToString(changed)); ok {
			t.Errorf("byte %d can be changed", i)
		}
		if _, ok := o.open("name", base64.RawURLEncoding.EncodeToString(raw[:i])); ok {
			t.Errorf("%d bytes open", i)
		}
	}
}

func TestSealedGarbageIsNotLoginRecord(t *testing.T) {
	o := oidcSealingWith("secret")
	for _, text := range []string{"", "null", "[]", "{}", `{"began":7}`, "x"} {
		if record, ok := o.open("name", base64.RawURLEncoding.EncodeToString((*o.ciphers.Load())[0].Seal(nil, nil, []byte(text), []byte("name")))); ok {
			t.Errorf("%q opens as %+v", text, record)
		}
	}
}

// A record must fit into a 4 KiB cookie, and all cookies into 16 KiB of headers with
// 4 KiB left for the rest.
func TestLargestLoginRecordsFitIntoCookies(t *testing.T) {
	o, whole := oidcSealingWith("secret"), 0
	for length, names := range map[int]int{usualReturnTo: loginSlots, maxReturnTo: 1} {
		record := newLoginRecord(strings.Repeat("&", length))
		record.Replaces, record.Returned = bytes.Repeat([]byte{255}, 32), true
		name := o.loginCookieName(record.State)
		value, err := o.seal(name, record)
		if err != nil || len(o.cookies.newLogin(name, value).String()) > 4000 {
			t.Errorf("%d bytes (%v)", len(value), err)
		}
		whole += names * len(name+"="+value+"; ")
	}
	if whole > 12<<10 {
		t.Errorf("%d bytes in all cookies", whole)
	}
	t.Logf("%d bytes in all cookies", whole)
}

func TestLongLoginRecordsShareOneCookieName(t *testing.T) {
	o := oidcSealingWith("secret")
	names := map[string]bool{}
	for length := range maxReturnTo + 1 {
		record := newLoginRecord(strings.Repeat("a", length))
		o.avoidSlots(&record, []string{"__Host-dropgate-login-long"})
		if name := o.loginCookieName(record.State); (name == "__Host-dropgate-login-long") != (length > usualReturnTo) {
			t.Fatalf("%d bytes go into %s", length, name)
		} else {
			names[name] = true
		}
	}
	if len(names) != loginSlots+1 {
		t.Errorf("%d names", len(names))
	}
}

func TestLoginCookiesUseEightNames(t *testing.T) {
	o := oidcSealingWith("secret")
	seen := map[string]int{}
	for range 8000 {
		state := newLoginRecord("").State
		name := o.loginCookieName(state)
		if name != o.loginCookieName(state) || !regexp.MustCompile(`^__Host-dropgate-login-[0-7]$`).MatchString(name) {
			t.Fatalf("name %s", name)
		}
		seen[name]++
	}
	for name, n := range seen {
		if n < 800 || n > 1200 {
			t.Errorf("%s comes %d times", name, n)
		}
	}
}

// Beside any four kept cookies, a fifth gets its own slot.
func TestSignInGetsFreeCookieSlot(t *testing.T) {
	o := oidcSealingWith("secret")
	for range 1000 {
		record, kept := newLoginRecord("/"), []string{}
		for range maxLogins - 1 {
			other := newLoginRecord("/")
			o.avoidSlots(&other, kept)
			kept = append(kept, o.loginCookieName(other.State))
		}
		o.avoidSlots(&record, kept)
		if name := o.loginCookieName(record.State); slices.Contains(kept, name) || len(record.State) < 26 {
			t.Fatalf("%s beside %q", name, kept)
		}
	}
}

func TestPKCEVerifiersAreFreshAndLong(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		record := newLoginRecord("")
		for _, fresh := range []string{record.Verifier, record.State, record.Nonce} {
			if seen[fresh] || len(fresh) < 26 {
				t.Fatalf("%q", fresh)
			}
			seen[fresh] = true
		}
		if len(record.Verifier) < 43 || len(record.Verifier) > 128 { // RFC 7636, 4.1
			t.Fatalf("a verifier of %d characters", len(record.Verifier))
		}
	}
}

// A reflected session cookie must not become a login cookie.
func TestLoginCookiesNeedTheirPrefix(t *testing.T) {
	r := &http.Request{Header: http.Header{"Cookie": {"__Host-dropgate-login-a=1; dropgate-login-b=2; __Host-dropgate-session=3; __host-dropgate-login-c=4"}}}
	for secure, want := range map[bool]string{true: "__Host-dropgate-login-a", false: "dropgate-login-b"} {
		found := cookies{secure: secure}.logins(r)
		if len(found) != 1 || found[0].Name != want {
			t.Errorf("%v, want %s", found, want)
		}
	}
}

// Several states share a cookie name.
func TestLoginRecordBelongsToItsState(t *testing.T) {
	o, record, another := oidcSealingWith("secret"), newLoginRecord("/"), newLoginRecord("/")
	name := o.loginCookieName(record.State)
	for o.loginCookieName(another.State) != name {
		another = newLoginRecord("/")
	}
	value, err := o.seal(name, record)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Header: http.Header{"Cookie": {name + "=" + value}}}
	if _, err := o.pendingLogin(r, another.State); err == nil || !strings.HasPrefix(err.Error(), "state_unknown: ") {
		t.Errorf("%v, want state_unknown", err)
	}
	if _, err := o.pendingLogin(r, record.State); err != nil {
		t.Error(err)
	}
}

// For any cookie and name, only the sealed record opens, and only under its own
// name.
func FuzzLoginRecord(f *testing.F) {
	o := oidcSealingWith("secret")
	record := newLoginRecord("/page?a=b&c=<é>")
	record.Replaces = bytes.Repeat([]byte{1}, 32)
	record.Began = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC) // in the future for every run
	name := o.loginCookieName(record.State)
	good, err := o.seal(name, record)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		f.Fatal(err)
	}
	for _, value := range []string{"", "=", "A", "AAAA", good[:16], good[:len(good)-1], good + "=", strings.ToUpper(good), strings.Repeat("A", 900), base64.RawURLEncoding.EncodeToString([]byte(`{"state":"a"}`))} {
		f.Add(name, value, uint16(0), byte(0))
	}
	for at := range raw {
		f.Add(name, "", uint16(at), byte(1)) // each byte of the sealed record
	}
	f.Add(name, "", uint16(0), byte(0))
	f.Add(name+"x", "", uint16(0), byte(0))
	f.Add("", "", uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, given, value string, at uint16, flip byte) {
		changed := bytes.Clone(raw)
		changed[int(at)%len(raw)] ^= flip
		if value == "" { // the sealed record with one byte changed
			value = base64.RawURLEncoding.EncodeToString(changed)
		}
		got, ok := o.open(given, value)
		decoded, _ := base64.RawURLEncoding.DecodeString(value)
		if want := given == name && bytes.Equal(decoded, raw); ok != want {
			t.Errorf("%q of the name %q opens: %v, want %v", value, given, ok, want)
		}
		want := loginRecord{}
		if ok {
			want = record
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
