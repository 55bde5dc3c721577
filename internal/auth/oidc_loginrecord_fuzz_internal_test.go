package auth

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whatever the cookie of a sign-in holds, and whatever it is called: it opens
// under its own name alone, and then to the record that was sealed.
func FuzzLoginRecord(f *testing.F) {
	o := sealing("secret")
	record := newLoginRecord("/page?a=b&c=<é>")
	record.Replaces = bytes.Repeat([]byte{1}, 32)
	record.Began = time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC) // all rounds are before that
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
		if value == "" { // the sealed one, with a byte changed
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
