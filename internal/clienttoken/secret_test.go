package clienttoken_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

const (
	mask = "[secret]"
	// secretValue changes under every way of quoting.
	secretValue = `s3cr3t"<&>\value` + "\u00e9"
)

var verbs = []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%#q", "%10s", "%.2s", "%d", "%t", "%b", "%U"}

// leaks fails t if out contains the value in any decodable form.
func leaks(t *testing.T, how, out string) {
	t.Helper()
	inJSON, err := json.Marshal(secretValue)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{
		secretValue, "s3cr3t",
		hex.EncodeToString([]byte(secretValue)), hex.EncodeToString([]byte("s3cr3t")),
		strings.ToUpper(hex.EncodeToString([]byte("s3cr3t"))), fmt.Sprintf("% x", "s3cr3t"),
		base64.StdEncoding.EncodeToString([]byte(secretValue)), base64.StdEncoding.EncodeToString([]byte("s3cr3t")),
		strings.Trim(strconv.Quote(secretValue), `"`), strings.Trim(string(inJSON), `"`),
		strings.Trim(fmt.Sprintf("%d", []byte("s3cr3t")), "[]"),
	} {
		if strings.Contains(out, form) {
			t.Errorf("%s gives the value away: %s", how, out)
		}
	}
}

// secrets lists the types with a masked value.
func secrets() map[string]any {
	secret := clienttoken.NewSecret(secretValue)
	token := clienttoken.Token{Secret: secret, DwollaRequestID: "id"}
	return map[string]any{"Secret": secret, "*Secret": &secret, "Token": token, "*Token": &token}
}

func TestSecretPrintsAsAMaskByEveryVerb(t *testing.T) {
	for name, s := range secrets() {
		for _, verb := range verbs {
			if got := fmt.Sprintf(verb, s); got != mask {
				t.Errorf("%s by %s prints %q", name, verb, got)
			}
		}
		if got := fmt.Sprint(s); got != mask {
			t.Errorf("%s by Sprint prints %q", name, got)
		}
		if got := fmt.Sprintln(s); got != mask+"\n" {
			t.Errorf("%s by Println prints %q", name, got)
		}
		if got := errors.New("a " + fmt.Sprint(s)).Error(); got != "a "+mask {
			t.Errorf("%s in an error prints %q", name, got)
		}
		stringer, ok := s.(fmt.Stringer)
		if !ok || stringer.String() != mask {
			t.Errorf("%s has no String that gives the mask", name)
		}
	}
}

// holders hold a secret in every way of a real program. Those with an unexported
// field are printed by reflection, past every method.
func holders() map[string]any {
	type exported struct{ Secret clienttoken.Secret }
	type unexported struct{ secret clienttoken.Secret }
	type unexportedToken struct{ token clienttoken.Token }
	type unexportedPointer struct{ secret *clienttoken.Secret }
	type unexportedAny struct{ any any }
	type unexportedMany struct {
		list  []clienttoken.Secret
		array [1]clienttoken.Token
		table map[string]clienttoken.Secret
		inner struct{ deep exported }
	}
	type embedding struct{ clienttoken.Secret }
	secret := clienttoken.NewSecret(secretValue)
	token := clienttoken.Token{Secret: secret, DwollaRequestID: "id"}
	many := unexportedMany{
		list: []clienttoken.Secret{secret}, array: [1]clienttoken.Token{token},
		table: map[string]clienttoken.Secret{"a": secret},
	}
	many.inner.deep = exported{secret}
	return map[string]any{
		"exported field":               exported{secret},
		"pointer to a struct":          &exported{secret},
		"unexported field":             unexported{secret},
		"pointer to unexported field":  &unexported{secret},
		"unexported token":             unexportedToken{token},
		"pointer to unexported token":  &unexportedToken{token},
		"unexported pointer":           unexportedPointer{&secret},
		"pointer, unexported pointer":  &unexportedPointer{&secret},
		"unexported any":               unexportedAny{token},
		"unexported any with pointer":  unexportedAny{&token},
		"unexported collections":       many,
		"pointer to the collections":   &many,
		"embedded":                     embedding{secret},
		"slice":                        []clienttoken.Secret{secret},
		"slice of tokens":              []clienttoken.Token{token},
		"slice of pointers":            []*clienttoken.Token{&token},
		"array":                        [1]clienttoken.Secret{secret},
		"map":                          map[string]clienttoken.Secret{"a": secret},
		"map of tokens":                map[string]clienttoken.Token{"a": token},
		"map key":                      map[clienttoken.Secret]int{secret: 1},
		"slice of structs":             []exported{{secret}},
		"slice of unexported":          []unexported{{secret}},
		"map of pointers to structs":   map[string]*unexported{"a": {secret}},
		"any in a slice":               []any{secret, &token},
		"what was vended":              clienttoken.Vended{Token: token},
		"pointer to what was vended":   &clienttoken.Vended{Token: token},
		"what was vended, in a struct": struct{ vended clienttoken.Vended }{clienttoken.Vended{Token: token}},
	}
}

func TestSecretNeverPrintsInsideSomethingElse(t *testing.T) {
	for name, holder := range holders() {
		for _, verb := range verbs {
			leaks(t, name+" by "+verb, fmt.Sprintf(verb, holder))
		}
		leaks(t, name+" by Sprint", fmt.Sprint(holder))
		leaks(t, name+" by Println", fmt.Sprintln(holder))
		out, err := json.Marshal(holder)
		leaks(t, name+" by json.Marshal", fmt.Sprint(string(out), err))
	}
}

func TestSecretEncodesAsAMask(t *testing.T) {
	secret := clienttoken.NewSecret(secretValue)
	type fields struct {
		Secret  clienttoken.Secret            `json:"secret"`
		Token   clienttoken.Token             `json:"token"`
		Pointer *clienttoken.Secret           `json:"pointer"`
		Map     map[string]clienttoken.Secret `json:"map"`
		Key     map[clienttoken.Secret]string `json:"key"`
	}
	got, err := json.Marshal(fields{
		secret,
		clienttoken.Token{Secret: secret, DwollaRequestID: "id"},
		&secret,
		map[string]clienttoken.Secret{"a": secret},
		map[clienttoken.Secret]string{secret: "a"},
	})
	want := `{"secret":"[secret]","token":"[secret]","pointer":"[secret]","map":{"a":"[secret]"},"key":{"[secret]":"a"}}`
	if err != nil || string(got) != want {
		t.Errorf("json.Marshal gives %s, %v; want %s", got, err, want)
	}
	for name, s := range secrets() {
		out, err := xml.Marshal(s)
		if err != nil || !strings.Contains(string(out), mask) {
			t.Errorf("%s by xml.Marshal gives %s, %v", name, out, err)
		}
		leaks(t, name+" by xml.Marshal", string(out))
		var page bytes.Buffer
		err = template.Must(template.New("").Parse(`{{.}} {{printf "%#v" .}}`)).Execute(&page, s)
		if err != nil || page.String() != mask+" "+mask {
			t.Errorf("%s by text/template gives %s, %v", name, &page, err)
		}
	}
}

func TestSecretLogsAsAMask(t *testing.T) {
	for name, s := range secrets() {
		stringer, ok := s.(fmt.Stringer)
		if !ok {
			t.Fatalf("%s is not a Stringer", name)
		}
		for how, log := range map[string]func(*zerolog.Event) *zerolog.Event{
			"Interface": func(e *zerolog.Event) *zerolog.Event { return e.Interface("a", s) },
			"Any":       func(e *zerolog.Event) *zerolog.Event { return e.Any("a", s) },
			"Stringer":  func(e *zerolog.Event) *zerolog.Event { return e.Stringer("a", stringer) },
			"Fields":    func(e *zerolog.Event) *zerolog.Event { return e.Fields(map[string]any{"a": s}) },
			"Str":       func(e *zerolog.Event) *zerolog.Event { return e.Str("a", fmt.Sprint(s)) },
		} {
			var out bytes.Buffer
			logger := zerolog.New(&out)
			log(logger.Log()).Send()
			if got, want := out.String(), `{"a":"[secret]"}`+"\n"; got != want {
				t.Errorf("%s by %s logs %s, want %s", name, how, got, want)
			}
		}
	}
	for name, holder := range holders() {
		var out bytes.Buffer
		logger := zerolog.New(&out)
		logger.Log().Any("a", holder).Interface("b", holder).Err(fmt.Errorf("%+v", holder)).Msgf("%#v", holder)
		leaks(t, name+" by zerolog", out.String())
		logger = zerolog.New(zerolog.ConsoleWriter{Out: &out, NoColor: true})
		logger.Log().Any("a", holder).Send()
		leaks(t, name+" by zerolog's console", out.String())
	}
}

func TestSecretRevealsItsValueWhenAsked(t *testing.T) {
	for _, value := range []string{secretValue, "a", " ", "\x00", mask} {
		s := clienttoken.NewSecret(value)
		if s.Reveal() != value || s.IsZero() {
			t.Errorf("NewSecret(%q).Reveal() = %q, IsZero() = %t", value, s.Reveal(), s.IsZero())
		}
		token := clienttoken.Token{Secret: s}
		if token.Reveal() != value || token.IsZero() {
			t.Errorf("a Token of %q reveals %q, IsZero() = %t", value, token.Reveal(), token.IsZero())
		}
	}
}

func TestZeroSecretIsEmptyAndMasked(t *testing.T) {
	for name, s := range map[string]clienttoken.Secret{"zero": {}, "empty": clienttoken.NewSecret(""), "in a Token": clienttoken.Token{}.Secret} {
		if s.Reveal() != "" || !s.IsZero() {
			t.Errorf("%s: Reveal() = %q, IsZero() = %t", name, s.Reveal(), s.IsZero())
		}
		if got := fmt.Sprintf("%v %s %#v", s, s, s); got != mask+" "+mask+" "+mask {
			t.Errorf("%s prints %s", name, got)
		}
		if out, err := json.Marshal(s); err != nil || string(out) != `"`+mask+`"` {
			t.Errorf("%s encodes to %s, %v", name, out, err)
		}
	}
	var none *clienttoken.Secret
	if _, err := fmt.Fprint(io.Discard, none); err != nil {
		t.Error(err)
	}
}

func TestSecretIsReadFromConfiguration(t *testing.T) {
	var s clienttoken.Secret
	text := []byte(secretValue)
	if err := s.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	clear(text) // the caller's bytes, not the secret's
	if s.Reveal() != secretValue {
		t.Errorf("Reveal() = %q", s.Reveal())
	}
	shared := s
	if err := s.UnmarshalText([]byte("another")); err != nil || s.Reveal() != "another" || shared.Reveal() != secretValue {
		t.Errorf("after another value: %q, its copy %q, %v", s.Reveal(), shared.Reveal(), err)
	}
	var config struct{ Key clienttoken.Secret }
	if err := json.Unmarshal([]byte(`{"Key":"from a file"}`), &config); err != nil || config.Key.Reveal() != "from a file" {
		t.Errorf("by json.Unmarshal: %q, %v", config.Key.Reveal(), err)
	}
}

func TestFingerprintIdentifiesWithoutRevealing(t *testing.T) {
	for value, want := range map[string]string{ // the start of sha256sum's output
		"abc": "ba7816bf8f01cfea",
		"":    "e3b0c44298fc1c14",
	} {
		if got := clienttoken.NewSecret(value).Fingerprint(); got != want {
			t.Errorf("the fingerprint of %q is %s, want %s", value, got, want)
		}
	}
	if got, want := (clienttoken.Secret{}).Fingerprint(), clienttoken.NewSecret("").Fingerprint(); got != want {
		t.Errorf("the fingerprint of the zero Secret is %s, of the empty one %s", got, want)
	}
	token := clienttoken.Token{Secret: clienttoken.NewSecret(secretValue)}
	leaks(t, "Fingerprint", token.Fingerprint())
}
