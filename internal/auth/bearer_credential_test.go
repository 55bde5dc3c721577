package auth_test

import (
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/auth"
)

func TestBearerPrefersHeaderOverCookie(t *testing.T) {
	bob := tokenWith(object{"sub": "bob"})
	expired := tokenWith(object{"exp": midnight.Unix() - 61})
	both := func(authorization, inCookie string) http.Header {
		return http.Header{"Authorization": {authorization}, "Cookie": {cookie + "=" + inCookie}}
	}
	runAttempts(t, bearerMode(), []attempt{
		{"neither", http.Header{}, ignored},
		{"header", bearer(goodToken()), alice},
		{"cookie", inCookie(goodToken()), aliceCookie},
		{"quoted cookie", inCookie(`"` + goodToken() + `"`), aliceCookie},
		{"both, of different users", both("Bearer "+goodToken(), bob), refused},
		{"both, the same token", both("Bearer "+goodToken(), goodToken()), alice},
		{"both, of the same user", both("Bearer "+goodToken(), tokenWith(object{"jti": "2"})), alice},
		{"both, lower case", both("bearer "+goodToken(), bob), refused},
		{"both, behind a tab", both("Bearer\t"+goodToken(), bob), refused},
		{"a tab", http.Header{"Authorization": {"Bearer\t" + goodToken()}}, alice},
		{"good header, two bad cookies", http.Header{"Authorization": {"Bearer " + goodToken()}, "Cookie": {cookie + "=x; " + cookie + "=y"}}, alice},
		{"good header, bob's cookie second", http.Header{"Authorization": {"Bearer " + goodToken()}, "Cookie": {cookie + "=x; " + cookie + "=" + bob}}, refused},
		{"good header, many cookies", http.Header{"Authorization": {"Bearer " + goodToken()}, "Cookie": {cookie + "=x; " + cookie + "=y; " + cookie + "=z"}}, refused},
		{"bad header, good cookie", both("Bearer "+expired, bob), refused},
		{"garbage header, good cookie", both("Bearer garbage", bob), refused},
		{"empty header, good cookie", both("Bearer", bob), refused},
		{"good header, bad cookie", both("Bearer "+goodToken(), expired), alice},
		{"bad cookie", inCookie(expired), refused},
		{"empty cookie", inCookie(""), refused},
		{"another cookie", http.Header{"Cookie": {"other=" + goodToken()}}, ignored},
		{"the cookie's name in another case", http.Header{"Cookie": {"APP_SESSION=" + goodToken()}}, ignored},
	})
}

func TestBearerIgnoresOtherSchemes(t *testing.T) {
	authorization := func(value string) http.Header { return http.Header{"Authorization": {value}} }
	runAttempts(t, bearerMode(), []attempt{
		{"Basic", authorization("Basic YWxpY2U6b3BlbiBzZXNhbWU="), ignored},
		{"Basic with a token", authorization("Basic " + goodToken()), ignored},
		{"DPoP", authorization("DPoP " + goodToken()), refused},
		{"dpop", authorization("dpop " + goodToken()), refused},
		{"no scheme", authorization(goodToken()), ignored},
		{"empty", authorization(""), ignored},
		{"a scheme that begins so", authorization("BearerX " + goodToken()), ignored},
		{"bearer", authorization("bearer " + goodToken()), alice},
		{"BEARER", authorization("BEARER " + goodToken()), alice},
		{"two spaces", authorization("Bearer  " + goodToken()), alice},
		{"a space at the end", authorization("Bearer " + goodToken() + " "), alice},
		{"no space", authorization("Bearer" + goodToken()), ignored},
		{"Basic beside a good cookie", http.Header{
			"Authorization": {"Basic YWxpY2U6b3BlbiBzZXNhbWU="}, "Cookie": {cookie + "=" + goodToken()},
		}, aliceCookie},
	})
}

func TestBearerRefusesDuplicateCredentials(t *testing.T) {
	bob := tokenWith(object{"sub": "bob"})
	runAttempts(t, bearerMode(), []attempt{
		{"two headers", http.Header{"Authorization": {"Bearer " + goodToken(), "Bearer " + bob}}, refused},
		{"the same header twice", http.Header{"Authorization": {"Bearer " + goodToken(), "Bearer " + goodToken()}}, refused},
		{"Basic and Bearer", http.Header{"Authorization": {"Basic YWxpY2U6b3BlbiBzZXNhbWU=", "Bearer " + goodToken()}}, refused},
		{"two headers of other schemes", http.Header{"Authorization": {"Basic YWxpY2U6b3BlbiBzZXNhbWU=", "Digest abc"}}, refused},
		{"two cookies", http.Header{"Cookie": {cookie + "=" + goodToken() + "; " + cookie + "=" + bob}}, refused},
		{"the same cookie twice", http.Header{"Cookie": {cookie + "=" + goodToken() + "; " + cookie + "=" + goodToken()}}, aliceCookie},
		{"the same cookie in two headers", http.Header{"Cookie": {cookie + "=" + goodToken(), cookie + "=" + goodToken()}}, aliceCookie},
		{"two cookies of the same user", http.Header{"Cookie": {cookie + "=" + goodToken() + "; " + cookie + "=" + tokenWith(object{"jti": "2"})}}, refused},
		{"two cookie headers", http.Header{"Cookie": {cookie + "=" + goodToken(), cookie + "=" + bob}}, refused},
	})
}

func TestBearerReadsCookieOnlyIfConfigured(t *testing.T) {
	noCookie := func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.Cookie = "" }
	runAttempts(t, bearerMode(noCookie), []attempt{
		{"cookie", inCookie(goodToken()), ignored},
		{"cookie without a name", http.Header{"Cookie": {"=" + goodToken()}}, ignored},
		{"header", bearer(goodToken()), alice},
	})
}

func TestBearerRefusesTokensOver32KiB(t *testing.T) {
	const limit = 32 << 10
	runAttempts(t, bearerMode(), []attempt{
		{"32 KiB", bearer(tokenOfLength(t, limit)), alice},
		{"one byte more", bearer(tokenOfLength(t, limit+1)), refused},
		{"32 KiB in the cookie", inCookie(tokenOfLength(t, limit)), aliceCookie},
		{"one byte more in the cookie", inCookie(tokenOfLength(t, limit+1)), refused},
		{"1 MiB of garbage", bearer(strings.Repeat("a", 1<<20)), refused},
	})
}

// tokenOfLength returns a good token of n bytes.
func tokenOfLength(t *testing.T, n int) string {
	t.Helper()
	for inHeader := range 4 {
		signed := sign(rsaKey(), header(object{"x": strings.Repeat("x", inHeader)}), claims(object{"pad": ""}))
		for pad := (n - len(signed)) * 3 / 4; pad < n; pad++ {
			signed = sign(rsaKey(), header(object{"x": strings.Repeat("x", inHeader)}), claims(object{"pad": strings.Repeat("x", pad)}))
			if len(signed) == n {
				return signed
			}
			if len(signed) > n {
				break
			}
		}
	}
	t.Fatalf("no padding makes a token of %d bytes", n)
	return ""
}

func TestNewBearerPanicsWithoutRequiredSettings(t *testing.T) {
	for name, empty := range map[string]func(*auth.BearerConfig, *auth.KeySetConfig){
		"issuer":     func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.Issuer = "" },
		"audience":   func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.Audience = "" },
		"user claim": func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.UserClaim = "" },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			newHarness(newIDP(), empty)
		})
	}
}
