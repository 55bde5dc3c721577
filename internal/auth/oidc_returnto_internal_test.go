package auth

import (
	"bytes"
	"cmp"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// returnPage is the page with the redirect.
const returnPage = "https://app.example.com/auth/callback"

// ownAndAllowed fits testdata/returnto.txt.
func ownAndAllowed() returnTargets {
	return returnTargets{own: "https://app.example.com", allowed: []string{
		"https://shop.example.com:8443", "https://xn--bcher-kva.example", "http://localhost:3000", "http://[::1]:3000",
	}}
}

// openRedirects reads testdata/returnto.txt: refused values with reasons.
func openRedirects(t testing.TB) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/returnto.txt")
	if err != nil {
		t.Fatal(err)
	}
	tricks := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		trick, _ := strconv.Unquote(quoted)
		why := strings.TrimSpace(line[len(quoted):])
		if _, twice := tricks[trick]; twice || why == "" {
			t.Errorf("%s: is here twice or without a reason", line)
		}
		tricks[trick] = why
	}
	return tricks
}

// returnable returns accepted values with their targets.
func returnable() map[string]string {
	const own = "https://app.example.com"
	return map[string]string{
		"":                                own + "/",
		own:                               own + "/",
		own + "?a=b":                      own + "/?a=b",
		own + "#a":                        own + "/#a",
		own + "?@evil.com":                own + "/?@evil.com", // the query starts after the origin
		own + "#@evil.com":                own + "/#@evil.com",
		own + "?.evil.com":                own + "/?.evil.com",
		own + "#//evil.com":               own + "/#//evil.com",
		"http://localhost:3000?":          "http://localhost:3000/?",
		"https://shop.example.com:8443":   "https://shop.example.com:8443/",
		"https://xn--bcher-kva.example#x": "https://xn--bcher-kva.example/#x",
		// The rest stays unchanged.
		own + "/":     own + "/",
		own + "/cart": own + "/cart",
		"https://shop.example.com:8443/cart/7?a=b#top": "https://shop.example.com:8443/cart/7?a=b#top",
		"https://xn--bcher-kva.example/":               "https://xn--bcher-kva.example/",
		"http://localhost:3000/%C3%A9":                 "http://localhost:3000/%C3%A9",
		"http://[::1]:3000/cart":                       "http://[::1]:3000/cart",
	}
}

// returnablePaths returns accepted paths of our own origin.
func returnablePaths() []string {
	return []string{
		"/", "/cart", "/cart/", "/a/b/c", "/index.html", "/a-b_c~d", "/customers/1b4e28ba-2fa1-11d2-883f-0016d3cca427",
		"/?", "/#", "/?#", "/?a=b&c=d", "/a?b?c", "/a#b?c", "/a#b#c", "/#/route/7", "/a?b=1#c", "/a?ids[]=1&ids[]=2", "/a;v=1/b;w=2", "/;v=1",
		"/caf%C3%A9", "/caf%c3%a9", "/%E6%97%A5%E6%9C%AC%E8%AA%9E", "/%D9%86%D9%85%DB%8C%E2%80%8C", "/a%20b", "/O%27Brien", "/100%25", "/100%25/off",
		"/a?next=https%3A%2F%2Fevil.com%2F", "/a?next=https://evil.com", "/a?next=//evil.com", "/a?next=%5C%5Cevil.com", "/a?next=%252Fb",
		"/a?text=two%0D%0Alines", "/a?latin=caf%E9", "/a#//evil.com", "/a#..", "/a?../..", "/a?%2e%2e", "/a#%00",
		"/a//b", "/a//", "/https://evil.com", "/https%3A%2F%2Fevil.com", "/a%2Fb", "/a%3Fb%23c", "/javascript:alert(1)",
		"/...", "/.well-known/x", "/..x", "/x..", "/.x/", "/x./y", "/a..b/c", "/%2e%2e%2e", "/@evil.com", "/:80", "/.evil.com", "/-._~!$&()*+,=:@",
		"/O'Brien", "/`x`", "/{x}?a={y}", "/a|b?c|d", "/a^b", "/#{%22a%22:1}", "/a%2520b", "/100%2525", "/a%252fb", "/a%25252520b", "/a?next=%25252525252f",
	}
}

// everyReturnTo returns refused and accepted values.
func everyReturnTo(t testing.TB) []string {
	t.Helper()
	return slices.Concat(slices.Collect(maps.Keys(openRedirects(t))), slices.Collect(maps.Keys(returnable())), returnablePaths())
}

// browserOrigin resolves a Location like a browser (WHATWG URL Standard), as far
// as needed here. It returns the resulting origin, or a text that is not an
// origin.
func browserOrigin(reference string) string {
	reference = strings.TrimFunc(reference, func(r rune) bool { return r <= ' ' })
	reference = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(reference)
	scheme, rest := "https", reference
	if found := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`).FindString(reference); found != "" {
		scheme, rest = strings.ToLower(strings.TrimSuffix(found, ":")), reference[len(found):]
	}
	ports := map[string]string{"http": ":80", "https": ":443", "ws": ":80", "wss": ":443", "ftp": ":21"}
	if ports[scheme] == "" {
		return "opaque"
	}
	const slashes = `/\`
	authority := strings.TrimLeft(rest, slashes)
	if scheme == "https" && len(rest)-len(authority) < 2 {
		return "https://app.example.com" // without // it is relative to the page
	}
	if end := strings.IndexAny(authority, slashes+"?#"); end >= 0 {
		authority = authority[:end]
	}
	host := strings.ToLower(authority[strings.LastIndex(authority, "@")+1:])
	if decoded, err := url.PathUnescape(host); err == nil {
		host = decoded
	}
	host = strings.TrimSuffix(host, ports[scheme])
	return scheme + "://" + strings.TrimSuffix(host, ":")
}

// fullyDecoded decodes a path repeatedly. It ignores invalid encodings and invalid
// UTF-8.
func fullyDecoded(path string) string {
	encoded := regexp.MustCompile("%[0-9A-Fa-f]{2}")
	for encoded.MatchString(path) {
		path = encoded.ReplaceAllStringFunc(path, func(s string) string {
			n, _ := strconv.ParseUint(s[1:], 16, 8)
			return string([]byte{byte(n)})
		})
	}
	return path
}

// checkReturned checks the invariants of accepted values.
func checkReturned(t *testing.T, returnTo, got string) {
	t.Helper()
	targets := ownAndAllowed()
	origins := append([]string{targets.own}, targets.allowed...)
	origin := regexp.MustCompile(`^[a-z]+://[^/]+`).FindString(got)
	u, err := url.Parse(got)
	switch {
	case !slices.Contains(origins, origin), browserOrigin(got) != origin, browserOrigin(returnTo) != origin:
		t.Errorf("%q leads to %q at %q, but %q itself to %q", returnTo, got, browserOrigin(got), returnTo, browserOrigin(returnTo))
	case err != nil || u.Scheme+"://"+u.Host != origin || u.User != nil || u.Opaque != "":
		t.Errorf("%q leads to %q, for Go to %#v (%v)", returnTo, got, u, err)
	case strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("\\\"<>", r) }):
		t.Errorf("%q leads to %q, which has characters that no URL has", returnTo, got)
	case len(got) > 2048:
		t.Errorf("%q leads to a URL of %d bytes", returnTo, len(got))
	}
	if again, err := targets.url(got); again != got {
		t.Errorf("%q leads to %q, but that to %q (%v)", returnTo, got, again, err)
	}
	path := strings.TrimPrefix(got, origin)
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	path = fullyDecoded(path)
	dots := regexp.MustCompile(`/\.\.?(;[^/]*)?(/|$)`)
	if !regexp.MustCompile(`^/(;[^/]*$|[^/;]|$)`).MatchString(path) || dots.MatchString(path) ||
		strings.ContainsFunc(path, func(r rune) bool { return r == '\\' || unicode.IsControl(r) }) || !utf8.ValidString(path) {
		t.Errorf("%q leads to %q, whose path is %q once it is decoded", returnTo, got, path)
	}
}

func TestReturnToNeverLeavesTheAllowedOrigins(t *testing.T) {
	tricks := openRedirects(t)
	if len(tricks) < 150 {
		t.Errorf("only %d tricks are known", len(tricks))
	}
	for trick, why := range tricks {
		if got, err := ownAndAllowed().url(trick); err == nil || got != "" {
			t.Errorf("%q leads to %q (%s)", trick, got, why)
		}
	}
}

func TestReturnToResolvesAsWritten(t *testing.T) {
	want := returnable()
	for _, path := range returnablePaths() {
		want[path] = "https://app.example.com" + path
	}
	for returnTo, want := range want {
		got, err := ownAndAllowed().url(returnTo)
		if err != nil || got != want {
			t.Errorf("%q leads to %q (%v), want %q", returnTo, got, err, want)
			continue
		}
		checkReturned(t, returnTo, got)
	}
}

func TestReturnToAcceptsWhatBrowsersWrite(t *testing.T) {
	const fine = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=^`{|}"
	for _, place := range []string{"/a", "/a?b", "/a#b", "http://localhost:3000/a"} {
		for b := range 256 {
			character := string([]byte{byte(b)})
			got, err := ownAndAllowed().url(place + character + "gh")
			if (err == nil) != strings.Contains(fine, character) {
				t.Errorf("%q behind %s leads to %q (%v)", character, place, got, err)
			}
		}
		if got, err := ownAndAllowed().url(place + "\ufffd"); err == nil {
			t.Errorf("U+FFFD behind %s leads to %q", place, got)
		}
	}
}

func TestReturnToWithoutAllowedOriginsStaysLocal(t *testing.T) {
	home := returnTargets{own: "https://app.example.com"}
	if got, err := home.url("/cart"); err != nil || got != "https://app.example.com/cart" {
		t.Errorf("%q (%v)", got, err)
	}
	for _, origin := range ownAndAllowed().allowed {
		if got, err := home.url(origin + "/"); err == nil {
			t.Errorf("%q leads to %q", origin, got)
		}
	}
}

func TestReturnToLengthIsBounded(t *testing.T) {
	const limit = 2048 - len("https://app.example.com")
	for length, fits := range map[int]bool{limit: true, limit + 1: false, 2048: false, 2049: false, 1 << 20: false} {
		path := "/" + strings.Repeat("a", length-1)
		if got, err := ownAndAllowed().url(path); (err == nil) != fits {
			t.Errorf("a path of %d bytes leads to %d bytes (%v)", length, len(got), err)
		}
	}
}

// Clients of /auth/login see the text, and the log has it too.
func TestReturnToRefusalGivesReason(t *testing.T) {
	for returnTo, want := range map[string]string{
		"//evil.com":                     `return_to "//evil.com" has a path that starts with // or has a dot segment`,
		"/a/..":                          `return_to "/a/.." has a path that starts with // or has a dot segment`,
		"/a\r\nb":                        `return_to "/a\r\nb" has characters that must be percent-encoded`,
		"https://evil.com":               `return_to "https://evil.com" is neither a path that starts with / nor a URL of an allowed origin`,
		"/%5cevil.com":                   `return_to "/%5cevil.com" has a path with a backslash, a control character or invalid UTF-8`,
		"http://localhost:3000//a":       `return_to "http://localhost:3000//a" has a path that starts with // or has a dot segment`,
		"/%252f":                         `return_to "/%252f" has a path that starts with // or has a dot segment`,
		"/a%2525252520":                  `return_to "/a%2525252520" has a path that is percent-encoded more than 4 times`,
		strings.Repeat("x", 1_000):       `return_to "` + strings.Repeat("x", 100) + `" is neither a path that starts with / nor a URL of an allowed origin`,
		"/" + strings.Repeat("é", 2_000): `return_to "/` + strings.Repeat("é", 99) + `" is longer than 2048 bytes with its origin`,
	} {
		if _, err := ownAndAllowed().url(returnTo); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Node's parser checks the accepted values, and browserOrigin. The latter must
// never mistake a foreign host for ours.
func TestReturnToAgreesWithNodeURLParser(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is missing")
	}
	targets := ownAndAllowed()
	var references []string
	for _, returnTo := range everyReturnTo(t) {
		references = append(references, strings.ToValidUTF8(returnTo, "\ufffd"))
		if got, err := targets.url(returnTo); err == nil {
			references = append(references, got)
		}
	}
	input, err := json.Marshal(references)
	if err != nil {
		t.Fatal(err)
	}
	const script = `const origin = s => { try { return new URL(s, process.argv[1]).origin } catch { return "none" } }
		console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(0)).map(origin)))`
	cmd := exec.CommandContext(t.Context(), node, "-e", script, returnPage)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	var origins []string
	if err := cmp.Or(err, json.Unmarshal(output, &origins)); err != nil || len(origins) != len(references) {
		t.Fatalf("node says %q (%v)", output, err)
	}
	known := append([]string{targets.own}, targets.allowed...)
	for i, reference := range references {
		if ours := browserOrigin(reference); slices.Contains(known, ours) && ours != origins[i] {
			t.Errorf("%q leads browserOrigin to %s, but node to %s", reference, ours, origins[i])
		}
		if got, err := targets.url(reference); err == nil && !strings.HasPrefix(got, origins[i]+"/") {
			t.Errorf("%q leads to %q, but node to %s", reference, got, origins[i])
		}
	}
}

// Every value is refused, or leads to an allowed origin in every parser.
func FuzzReturnTo(f *testing.F) {
	for _, returnTo := range everyReturnTo(f) {
		f.Add(returnTo)
	}
	f.Fuzz(func(t *testing.T, returnTo string) {
		if got, err := ownAndAllowed().url(returnTo); err == nil {
			checkReturned(t, returnTo, got)
		}
	})
}
