package auth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
)

func TestBearerToleratesOneMinuteClockSkew(t *testing.T) {
	at := func(claim string, seconds int64) string {
		return tokenWith(object{claim: midnight.Unix() + seconds})
	}
	runAttempts(t, bearerMode(), []attempt{
		{"expired 59 s ago", bearer(at("exp", -59)), alice},
		{"expired 60 s ago", bearer(at("exp", -60)), alice},
		{"expired 61 s ago", bearer(at("exp", -61)), refused},
		{"good from 59 s hence", bearer(at("nbf", 59)), alice},
		{"good from 60 s hence", bearer(at("nbf", 60)), alice},
		{"good from 61 s hence", bearer(at("nbf", 61)), refused},
		{"issued 59 s hence", bearer(at("iat", 59)), alice},
		{"issued 60 s hence", bearer(at("iat", 60)), alice},
		{"issued 61 s hence", bearer(at("iat", 61)), refused},
		{"no iat", bearer(tokenWith(object{"iat": absent{}})), alice},
		{"exp zero", bearer(tokenWith(object{"exp": 0})), refused},
		{"exp negative", bearer(tokenWith(object{"exp": -1})), refused},
		{"exp a fraction", bearer(tokenWith(object{"exp": float64(midnight.Unix()) + 0.5})), alice},
		{"exp beyond all time", bearer(tokenWith(object{"exp": json.RawMessage("1e300")})), refused},
		{"nbf beyond all time", bearer(tokenWith(object{"nbf": json.RawMessage("9223372036854775807")})), refused},
		{"exp as text", bearer(tokenWith(object{"exp": "4102444800"})), refused},
		{"exp a list", bearer(tokenWith(object{"exp": []int64{4102444800}})), refused},
	})
}

func TestBearerRequiresIssuerAudienceExpiryAndSubject(t *testing.T) {
	var attempts []attempt
	for _, claim := range []string{"iss", "aud", "exp", "sub"} {
		attempts = append(attempts,
			attempt{"no " + claim, bearer(tokenWith(object{claim: absent{}})), refused},
			attempt{claim + " null", bearer(tokenWith(object{claim: nil})), refused},
			attempt{claim + " empty", bearer(tokenWith(object{claim: ""})), refused},
		)
	}
	runAttempts(t, bearerMode(), append(attempts, []attempt{
		{"other issuer", bearer(tokenWith(object{"iss": "https://evil.example.com"})), refused},
		{"issuer with a slash at the end", bearer(tokenWith(object{"iss": issuer + "/"})), refused},
		{"issuer in another case", bearer(tokenWith(object{"iss": strings.ToUpper(issuer)})), refused},
		{"issuer that begins with ours", bearer(tokenWith(object{"iss": issuer + ".evil.example.com"})), refused},
		{"issuer a list", bearer(tokenWith(object{"iss": []string{issuer}})), refused},
		{"audience of another", bearer(tokenWith(object{"aud": "other"})), refused},
		{"audience in another case", bearer(tokenWith(object{"aud": "DROPGATE"})), refused},
		{"audience that begins with ours", bearer(tokenWith(object{"aud": "dropgate2"})), refused},
		{"audience an empty list", bearer(tokenWith(object{"aud": []string{}})), refused},
		{"audience a list of one", bearer(tokenWith(object{"aud": []string{audience}})), alice},
		{"audience a list of another", bearer(tokenWith(object{"aud": []string{"other"}})), refused},
		{"audience a list with a number", bearer(tokenWith(object{"aud": []any{audience, 1}})), refused},
		{"audience an object", bearer(tokenWith(object{"aud": object{audience: true}})), refused},
		{"audience a number", bearer(tokenWith(object{"aud": 1})), refused},
	}...))
}

// Such a token is only valid with proof of the key.
func TestBearerRefusesKeyBoundTokens(t *testing.T) {
	var attempts []attempt
	for _, cnf := range []any{object{"jkt": "x"}, object{"x5t#S256": "x"}, object{"kid": "x"}, object{"jwk": object{}}, object{}, nil, "", "x", []any{}, false} {
		attempts = append(attempts, attempt{fmt.Sprint(cnf), bearer(tokenWith(object{"cnf": cnf})), refused}, attempt{fmt.Sprint(cnf, " in a cookie"), inCookie(tokenWith(object{"cnf": cnf})), refused})
	}
	runAttempts(t, bearerMode(), attempts)
}

func TestTokenWithSeveralAudiencesNeedsKnownClient(t *testing.T) {
	several := []string{"other", audience}
	t.Run("no client configured", func(t *testing.T) {
		runAttempts(t, bearerMode(), []attempt{
			{"several audiences", bearer(tokenWith(object{"aud": several})), refused},
			{"several audiences and azp", bearer(tokenWith(object{"aud": several, "azp": "web"})), refused},
			{"one audience and azp", bearer(tokenWith(object{"azp": "web"})), alice},
		})
	})
	clients := func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.ClientIDs = []string{"web", "app"} }
	t.Run("clients configured", func(t *testing.T) {
		runAttempts(t, bearerMode(clients), []attempt{
			{"several audiences, azp known", bearer(tokenWith(object{"aud": several, "azp": "app"})), alice},
			{"several audiences, client_id known", bearer(tokenWith(object{"aud": several, "client_id": "web"})), alice},
			{"several audiences, azp of another", bearer(tokenWith(object{"aud": several, "azp": "other"})), refused},
			{"several audiences, client_id of another", bearer(tokenWith(object{"aud": several, "client_id": "other"})), refused},
			{"several audiences, neither", bearer(tokenWith(object{"aud": several})), refused},
			{"several audiences, none of them ours", bearer(tokenWith(object{"aud": []string{"a", "b"}, "azp": "web"})), refused},
			{"one audience, azp known", bearer(tokenWith(object{"azp": "web"})), alice},
			{"one audience, azp of another", bearer(tokenWith(object{"azp": "other"})), refused},
			{"one audience, neither", bearer(goodToken()), refused},
			{"azp known, client_id of another", bearer(tokenWith(object{"azp": "web", "client_id": "other"})), refused},
			{"azp of another, client_id known", bearer(tokenWith(object{"azp": "other", "client_id": "web"})), refused},
			{"both known", bearer(tokenWith(object{"azp": "web", "client_id": "app"})), alice},
			{"azp empty", bearer(tokenWith(object{"azp": ""})), refused},
			{"azp null, client_id known", bearer(tokenWith(object{"azp": nil, "client_id": "web"})), refused},
			{"azp a list", bearer(tokenWith(object{"azp": []string{"web"}})), refused},
			{"azp in another case", bearer(tokenWith(object{"azp": "WEB"})), refused},
		})
	})
}

func TestBearerRefusesOtherTokenTypes(t *testing.T) {
	typed := func(typ any) string { return tokenWithHeader(object{"typ": typ}) }
	logout := object{"http://schemas.openid.net/event/backchannel-logout": object{}}
	always := []attempt{
		{"at+jwt", bearer(typed("at+jwt")), alice},
		{"application/at+jwt", bearer(typed("application/at+jwt")), alice},
		{"AT+JWT", bearer(typed("AT+JWT")), alice},
		{"logout+jwt", bearer(typed("logout+jwt")), refused},
		{"LOGOUT+JWT", bearer(typed("LOGOUT+JWT")), refused},
		{"application/logout+jwt", bearer(typed("application/logout+jwt")), refused},
		{"secevent+jwt", bearer(typed("secevent+jwt")), refused},
		{"dpop+jwt", bearer(typed("dpop+jwt")), refused},
		{"JOSE", bearer(typed("JOSE")), refused},
		{"events", bearer(tokenWith(object{"events": logout})), refused},
		{"events null", bearer(tokenWith(object{"events": nil})), refused},
	}
	t.Run("by default", func(t *testing.T) {
		runAttempts(t, bearerMode(), append(always, []attempt{
			{"JWT", bearer(typed("JWT")), alice},
			{"jwt", bearer(typed("jwt")), alice},
			{"none", bearer(typed(absent{})), alice},
			{"logout token of type JWT", bearer(sign(rsaKey(), header(object{"typ": "JWT"}), claims(object{"events": logout}))), refused},
		}...))
	})
	accessTokens := func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.TokenType = "at+jwt" }
	t.Run("when access tokens are demanded", func(t *testing.T) {
		runAttempts(t, bearerMode(accessTokens), append(always, []attempt{
			{"JWT", bearer(typed("JWT")), refused},
			{"application/jwt", bearer(typed("application/jwt")), refused},
			{"none", bearer(typed(absent{})), refused},
			{"empty", bearer(typed("")), refused},
			{"a number", bearer(typed(1)), refused},
			{"a list", bearer(typed([]string{"at+jwt"})), refused},
		}...))
	})
}

func TestBearerUserIDIsPrintableAndBounded(t *testing.T) {
	long := strings.Repeat("é", 255)
	raw := func(id string) string { // no encoder writes such JSON
		return sign(rsaKey(), header(nil), strings.Replace(asJSON(claims(nil)), "alice", id, 1))
	}
	runAttempts(t, bearerMode(), []attempt{
		{"255 characters", bearer(tokenWith(object{"sub": long})), "accepted " + long},
		{"256 characters", bearer(tokenWith(object{"sub": long + "é"})), refused},
		{"any script", bearer(tokenWith(object{"sub": "auth0|Łucja 李"})), "accepted auth0|Łucja 李"},
		{"empty", bearer(tokenWith(object{"sub": ""})), refused},
		{"line break", bearer(tokenWith(object{"sub": "alice\nbob"})), refused},
		{"NUL", bearer(tokenWith(object{"sub": "alice\x00"})), refused},
		{"escape", bearer(tokenWith(object{"sub": "\x1b[31malice"})), refused},
		{"DEL", bearer(tokenWith(object{"sub": "alice\x7f"})), refused},
		{"C1 control", bearer(tokenWith(object{"sub": "alice\u0085"})), refused},
		{"right-to-left override", bearer(tokenWith(object{"sub": "\u202eecila"})), refused},
		{"bidi isolate", bearer(tokenWith(object{"sub": "\u2066alice"})), refused},
		{"zero-width space", bearer(tokenWith(object{"sub": "al\u200bice"})), refused},
		{"byte order mark", bearer(tokenWith(object{"sub": "\ufeffalice"})), refused},
		{"no-break space", bearer(tokenWith(object{"sub": "alice\u00a0"})), refused},
		{"line separator", bearer(tokenWith(object{"sub": "alice\u2028"})), refused},
		{"invalid UTF-8", bearer(raw("al\xffice")), refused},
		{"overlong UTF-8", bearer(raw("al\xc0\xafice")), refused},
		{"half a surrogate pair", bearer(raw(`al\ud800ice`)), refused},
		{"number", bearer(tokenWith(object{"sub": 7})), "accepted 7"},
		{"fraction", bearer(tokenWith(object{"sub": 7.5})), refused},
		{"object", bearer(tokenWith(object{"sub": object{"id": "alice"}})), refused},
		{"list", bearer(tokenWith(object{"sub": []string{"alice"}})), refused},
		{"true", bearer(tokenWith(object{"sub": true})), refused},
	})
}

func TestBearerReadsUserFromConfiguredClaim(t *testing.T) {
	byEmail := func(c *auth.BearerConfig, _ *auth.KeySetConfig) { c.UserClaim = "email" }
	mail := "bob@example.com"
	runAttempts(t, bearerMode(byEmail), []attempt{
		{"email", bearer(tokenWith(object{"email": mail, "email_verified": true})), "accepted " + mail},
		{"email not verified", bearer(tokenWith(object{"email": mail, "email_verified": false})), refused},
		{"email without email_verified", bearer(tokenWith(object{"email": mail})), refused},
		{"email verified in words", bearer(tokenWith(object{"email": mail, "email_verified": "true"})), "accepted " + mail},
		{"no email, but sub", bearer(goodToken()), refused},
		{"email an object", bearer(tokenWith(object{"email": object{}, "email_verified": true})), refused},
		{"email empty", bearer(tokenWith(object{"email": "", "email_verified": true})), refused},
		{"email without sub", bearer(tokenWith(object{"email": mail, "email_verified": true, "sub": absent{}})), "accepted " + mail},
	})
}

func TestBearerSessionKeepsUsedClaimsUntilExp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newHarness(newIDP(published()...), func(c *auth.BearerConfig, _ *auth.KeySetConfig) {
			c.Claims = []string{"name", "dwolla_customer", "sub", "none"}
		})
		w.run(t)
		said := tokenWith(object{"name": "Alice", "roles": []string{"payer"}, "dwolla_customer": "707177c3"})
		want := auth.Session{
			User: clienttoken.User{ID: "alice", Claims: map[string]any{
				"sub": "alice", "name": "Alice", "dwolla_customer": "707177c3",
			}},
			Mode:    "bearer",
			Expires: midnight.Add(time.Hour),
		}
		for range 2 { // verified, then cached
			got, err := w.authenticate(t.Context(), said)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		}
	})
}
