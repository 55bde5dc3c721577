//go:build faults

package faults_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// encoding writes a text with real libraries, so it cannot agree with the search by
// accident.
type encoding func(string) string

// escapingEncodings returns the encodings of logs, pages and URLs.
func escapingEncodings() map[string]encoding {
	return map[string]encoding{
		"as it is":           func(s string) string { return s },
		"zerolog":            logLine(func(log zerolog.Logger, s string) { log.Info().Str("reason", s).Send() }),
		"zerolog, bytes":     logLine(func(log zerolog.Logger, s string) { log.Info().Bytes("stack", []byte(s)).Send() }),
		"zerolog, an error":  logLine(func(log zerolog.Logger, s string) { log.Info().Err(errors.New(s)).Msg(s) }),
		"zerolog, anything":  logLine(func(log zerolog.Logger, s string) { log.Info().Any("values", []string{s}).Send() }),
		"zerolog, console":   consoleLine,
		"JSON":               func(s string) string { return jsonText(map[string]string{"message": s}) },
		"HTML, text":         htmlPage(`<p>{{.}}</p>`),
		"HTML, an attribute": htmlPage(`<p title="{{.}}">`),
		"HTML, unquoted":     htmlPage(`<p title={{.}}>`),
		"HTML, a link":       htmlPage(`<a href="/auth/login?return_to={{.}}">`),
		"HTML, a script":     htmlPage(`<script>x = {{.}}</script>`),
		"HTML, its strings":  htmlPage(`<script>x = "{{.}}"</script>`),
		"%q":                 func(s string) string { return fmt.Sprintf("%q", s) },
		"%+q":                func(s string) string { return fmt.Sprintf("%+q", s) },
		"%#v":                func(s string) string { return fmt.Sprintf("%#v", struct{ secret string }{s}) },
		"URL, a query":       url.QueryEscape,
		"URL, a path":        url.PathEscape,
		"URL, lower case":    func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
		"URL, a password":    func(s string) string { return "redis://" + url.UserPassword("user", s).String() + "@host" },
		"URL in a query":     func(s string) string { return "/?to=" + url.QueryEscape("/login?"+url.Values{"x": {s}}.Encode()) },
		"URL in a path":      func(s string) string { return url.PathEscape(url.PathEscape(s)) },
		"URL, an error":      func(s string) string { return (&url.Error{Op: "Get", URL: s, Err: errors.New("refused")}).Error() },
	}
}

// respellingEncodings returns the encodings that replace every character.
func respellingEncodings() map[string]encoding {
	hexOf := func(format string) encoding { return func(s string) string { return fmt.Sprintf(format, s) } }
	bytesOf := func(format string) encoding { return func(s string) string { return fmt.Sprintf(format, []byte(s)) } }
	base64Of := func(e *base64.Encoding) encoding {
		return func(s string) string { return e.EncodeToString([]byte(s)) }
	}
	return map[string]encoding{
		"base64":               base64Of(base64.StdEncoding),
		"base64, raw":          base64Of(base64.RawStdEncoding),
		"base64, URL":          base64Of(base64.URLEncoding),
		"base64, raw, URL":     base64Of(base64.RawURLEncoding),
		"base64 of an escaped": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(s))) },
		"JSON, bytes":          func(s string) string { return jsonText([]byte(s)) },
		"JSON, an array":       func(s string) string { return jsonText([64]byte([]byte(s + strings.Repeat("x", 64))[:64])) },
		"zerolog, hex":         logLine(func(log zerolog.Logger, s string) { log.Info().Hex("key", []byte(s)).Send() }),
		"zerolog, bytes in it": logLine(func(log zerolog.Logger, s string) { log.Info().Any("key", struct{ Key []byte }{[]byte(s)}).Send() }),
		"hex":                  func(s string) string { return hex.EncodeToString([]byte(s)) },
		"%x":                   hexOf("%x"), "%X": hexOf("%X"), "% x": hexOf("% x"), "% X": hexOf("% X"), "%#x": hexOf("%#x"),
		"%v of bytes": bytesOf("%v"), "%d of bytes": bytesOf("%d"), "%#v of bytes": bytesOf("%#v"),
		"%+v of bytes":    func(s string) string { return fmt.Sprintf("%+v", struct{ key []byte }{[]byte(s)}) },
		"%v of an array":  func(s string) string { return fmt.Sprint([64]byte([]byte(s + strings.Repeat("x", 64))[:64])) },
		"%#v of an array": func(s string) string { return fmt.Sprintf("%#v", [64]byte([]byte(s + strings.Repeat("x", 64))[:64])) },
	}
}

// encodings returns all encodings.
func encodings() map[string]encoding {
	all := escapingEncodings()
	maps.Copy(all, respellingEncodings())
	return all
}

// logLine encodes as a log line.
func logLine(write func(zerolog.Logger, string)) encoding {
	return func(s string) string {
		var out strings.Builder
		write(zerolog.New(&out), s)
		return out.String()
	}
}

// consoleLine encodes as a log line with LOG_FORMAT=console.
func consoleLine(s string) string {
	var out strings.Builder
	log := zerolog.New(zerolog.ConsoleWriter{Out: &out})
	log.Info().Str("reason", s).Msg(s)
	return out.String()
}

// htmlPage encodes in an HTML page.
func htmlPage(page string) encoding {
	return func(s string) string {
		var out strings.Builder
		if err := template.Must(template.New("").Parse(page)).Execute(&out, s); err != nil {
			return err.Error()
		}
		return out.String()
	}
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// lowerEscapes writes %2F as %2f.
func lowerEscapes(escaped string) string {
	return newEscapes()[0].pattern.ReplaceAllStringFunc(escaped, strings.ToLower)
}

// someSecrets returns texts with characters that encodings change, and keys of random
// bytes.
func someSecrets() []string {
	found := []string{
		`its end is a backslash\`, "a?secret>with~some+/=&bytes", `of "quotes", 'these' & \n <those>`, `made of escapes: %2B\u002b&#43;&amp;\\"%25`, "\x00\x01\xff\x80\x7f\x00 \t\r\n\"\\+/=<>&'`é\u2028",
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same keys in each run
	for range 25 {
		key := make([]byte, 32)
		for i := range key {
			key[i] = byte(random.Uint32())
		}
		found = append(found, string(key))
	}
	return found
}

// TestSweepFindsSecretsInEveryEncoding also surrounds the secret with other text. It
// expects no hit without the secret.
func TestSweepFindsSecretsInEveryEncoding(t *testing.T) {
	t.Parallel()
	for _, secret := range someSecrets() {
		search := newSearcher(map[string]string{secret: "the secret", "another-secret": "another"})
		for name, encode := range encodings() {
			for _, around := range [][2]string{{"", ""}, {"x", "z"}, {"xy", "yz"}, {"xyz", ""}, {"user:", "@host"}, {"Bearer ", ", "}} {
				with, without := search.in(encode(around[0]+secret+around[1])), search.in(encode(around[0]+secret[2:]+around[1]))
				if !slices.Equal(with, []string{"the secret"}) || len(without) > 0 {
					t.Errorf("%s of %q, between %q: found %q, and %q for a truncated secret", name, secret, around, with, without)
				}
			}
		}
	}
	if got := newSearcher(map[string]string{"one-secret": "one", "another-secret": "another"}).in("one-secretanother-secret"); len(got) != 2 {
		t.Errorf("two secrets in one text: %q", got)
	}
}

// TestSweepFindsSecretsInNestedEncodings covers an HTML page in a log line, a URL in a
// URL in a page, and base64 in anything.
func TestSweepFindsSecretsInNestedEncodings(t *testing.T) {
	t.Parallel()
	for _, secret := range someSecrets()[:8] {
		search := newSearcher(map[string]string{secret: "the secret"})
		for inner, first := range encodings() {
			for outer, second := range escapingEncodings() {
				if got := search.in(second(first("x" + secret + "z"))); len(got) != 1 {
					t.Errorf("%s in %s: the search missed %q", inner, outer, secret)
				}
			}
		}
	}
}

// TestSweepFindsSecretPrefixes: logs may truncate a quoted header or cookie.
func TestSweepFindsSecretPrefixes(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("0123456789+/", 20)
	search := newSearcher(map[string]string{secret: "the secret"})
	for name, encode := range encodings() {
		if got := search.in(encode("Bearer " + secret[:40])); len(got) != 1 {
			t.Errorf("%s: the search missed the prefix", name)
		}
	}
}
