package auth_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestBearerAcceptsOnlySignedCompactTokens(t *testing.T) {
	p := parts()
	flattened := asJSON(object{"protected": p[0], "payload": p[1], "signature": p[2]})
	runAttempts(t, bearerMode(), []attempt{
		{"a good one", bearer(goodToken()), alice},
		{"nothing", bearer(""), refused},
		{"only spaces", bearer("   "), refused},
		{"garbage", bearer("garbage"), refused},
		{"dots", bearer(".."), refused},
		{"one part", bearer(p[0]), refused},
		{"two parts", bearer(p[0] + "." + p[1]), refused},
		{"no signature", bearer(p[0] + "." + p[1] + "."), refused},
		{"no payload", bearer(p[0] + ".." + p[2]), refused},
		{"no header", bearer("." + p[1] + "." + p[2]), refused},
		{"four parts", bearer(goodToken() + "." + p[2]), refused},
		{"a dot at the end", bearer(goodToken() + "."), refused},
		{"five parts: encrypted", bearer(encoded(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a2V5.aXY.Y2lwaGVy.dGFn"), refused},
		{"five parts: a good one and more", bearer(goodToken() + ".a.b"), refused},
		{"the JSON form", bearer(flattened), refused},
		{"padded base64", bearer(p[0] + "=." + p[1] + "." + p[2]), refused},
		{"standard base64", bearer(p[0] + "." + p[1] + ".++//" + p[2][4:]), refused},
		{"a line break in a part", bearer(p[0] + "." + p[1] + "." + p[2][:9] + "\n" + p[2][9:]), refused},
		{"a space in a part", bearer(p[0] + "." + p[1] + "." + p[2][:9] + " " + p[2][9:]), refused},
		{"two tokens", bearer(goodToken() + " " + goodToken()), refused},
		{"two tokens with a comma", bearer(goodToken() + "," + goodToken()), refused},
		{"a header that is not an object", bearer(signText(rsaKey(), "RS256", `["RS256"]`, asJSON(claims(nil)))), refused},
		{"a header null", bearer(signText(rsaKey(), "RS256", `null`, asJSON(claims(nil)))), refused},
		{"a header with alg twice", bearer(signText(rsaKey(), "RS256", `{"alg":"none","alg":"RS256","kid":"rsa"}`, asJSON(claims(nil)))), refused},
		{"claims null", bearer(sign(rsaKey(), header(nil), `null`)), refused},
		{"claims that are a list", bearer(sign(rsaKey(), header(nil), `["alice"]`)), refused},
		{"claims that are no JSON", bearer(sign(rsaKey(), header(nil), `sub=alice`)), refused},
		{"two sets of claims", bearer(sign(rsaKey(), header(nil), asJSON(claims(nil))+asJSON(claims(nil)))), refused},
		{"a claim given twice", bearer(sign(rsaKey(), header(nil),
			strings.Replace(asJSON(claims(nil)), `"sub":"alice"`, `"sub":"bob","sub":"alice"`, 1))), refused},
		{"claims in another case", bearer(tokenWith(object{"SUB": "bob", "Iss": "https://evil.example.com", "EXP": 0})), alice},
		{"exp in another case only", bearer(tokenWith(object{"exp": absent{}, "Exp": midnight.Unix() + 60})), refused},
	})
}

func TestBearerRefusesUnlistedAlgorithms(t *testing.T) {
	p := parts()
	type alg struct {
		name, kid string
		key       any
	}
	signed := func(a alg) string {
		return sign(a.key, header(object{"alg": a.name, "kid": a.kid}), claims(nil))
	}
	pkix := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	pkcs1 := x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)
	withSecret := func(secret []byte) string { return signed(alg{"HS256", "rsa", secret}) }
	attempts := []attempt{
		{"RS256", bearer(signed(alg{"RS256", "rsa", rsaKey()})), alice},
		{"PS256", bearer(signed(alg{"PS256", "rsa", rsaKey()})), alice},
		{"ES256", bearer(signed(alg{"ES256", "ec", ecKey()})), alice},
		{"EdDSA", bearer(signed(alg{"EdDSA", "ed", edKey()})), alice},
		{"RS384", bearer(signed(alg{"RS384", "rsa", rsaKey()})), alice},
		{"RS512", bearer(signed(alg{"RS512", "rsa", rsaKey()})), alice},
		{"PS384", bearer(signed(alg{"PS384", "rsa", rsaKey()})), alice},
		{"PS512", bearer(signed(alg{"PS512", "rsa", rsaKey()})), alice},
		{"ES384", bearer(signed(alg{"ES384", "p384", p384Key()})), alice},
		{"ES512", bearer(signed(alg{"ES512", "p521", p521Key()})), alice},
		{"Ed25519", bearer(signed(alg{"Ed25519", "ed", edKey()})), alice},
		{"Ed25519 by another key", bearer(signed(alg{"Ed25519", "ed", ed25519.NewKeyFromSeed(make([]byte, 32))})), refused},
		{"ES512 on the wrong curve", bearer(signed(alg{"ES512", "p384", p384Key()})), refused},
		{"RS256K", bearer(signed(alg{"RS256K", "rsa", rsaKey()})), refused},
		{"ES256 on the wrong curve", bearer(signed(alg{"ES256", "p384", p384Key()})), refused},
		{"rs256", bearer(signed(alg{"rs256", "rsa", rsaKey()})), refused},
		{"alg missing", bearer(sign(rsaKey(), header(object{"alg": absent{}}), claims(nil))), refused},
		{"alg empty", bearer(signed(alg{"", "rsa", rsaKey()})), refused},
		{"alg null", bearer(sign(rsaKey(), header(object{"alg": nil}), claims(nil))), refused},
		{"alg a list", bearer(sign(rsaKey(), header(object{"alg": []string{"RS256"}}), claims(nil))), refused},
		{"HS256 with the public key as PEM", bearer(withSecret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix}))), refused},
		{"HS256 with the public key as PEM without the last line break", bearer(withSecret([]byte(strings.TrimSpace(
			string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})))))), refused},
		{"HS256 with the public key as PKCS #1 PEM", bearer(withSecret(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}))), refused},
		{"HS256 with the public key as DER", bearer(withSecret(pkix)), refused},
		{"HS256 with the public key as PKCS #1 DER", bearer(withSecret(pkcs1)), refused},
		{"HS256 with the public key as JWK", bearer(withSecret(must(public("rsa", rsaKey()).MarshalJSON()))), refused},
		{"HS256 with the modulus", bearer(withSecret(rsaKey().N.Bytes())), refused},
		{"HS256 with a secret that was published", bearer(signed(alg{"HS256", "secret", []byte(leaked)})), refused},
		{"HS256 with an empty secret", bearer(withSecret([]byte{})), refused},
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE"} {
		unsigned := encoded(asJSON(header(object{"alg": none}))) + "." + p[1] + "."
		attempts = append(attempts,
			attempt{none + " without a signature", bearer(unsigned), refused},
			attempt{none + " with a good token's signature", bearer(unsigned + p[2]), refused},
			attempt{none + " with a good signature", bearer(tokenWithHeader(object{"alg": none})), refused},
		)
	}
	set := append(published(), public("p384", p384Key()), public("p521", p521Key()),
		json.RawMessage(`{"kty":"oct","kid":"secret","k":"`+encoded(leaked)+`"}`))
	runAttempts(t, bearerModeWith(set), attempts)
}

// leaked is a symmetric key, published by mistake.
const leaked = "a secret of more than thirty-two bytes, no longer secret"

func TestBearerUsesOnlyTheNamedKey(t *testing.T) {
	enc, psOnly := public("enc", otherKey()), public("ps-only", otherKey())
	enc.Use, psOnly.Algorithm, psOnly.Use = "enc", "PS256", "sig"
	set := append(published(), public("p384", p384Key()), enc, psOnly, jose.JSONWebKey{Key: otherKey(), KeyID: "private"})
	signed := func(kid, alg string, key any) string {
		return sign(key, header(object{"kid": kid, "alg": alg}), claims(nil))
	}
	runAttempts(t, bearerModeWith(set), []attempt{
		{"unknown kid", bearer(signed("nobody", "RS256", rsaKey())), refused},
		{"kid in another case", bearer(signed("RSA", "RS256", rsaKey())), refused},
		{"kid a path", bearer(signed("../../dev/null", "RS256", rsaKey())), refused},
		{"kid a number", bearer(tokenWithHeader(object{"kid": 1})), refused},
		{"attacker's key under a known kid", bearer(signed("rsa", "RS256", attackerKey())), refused},
		{"attacker's key without a kid", bearer(sign(attackerKey(), header(object{"kid": absent{}}), claims(nil))), refused},
		{"kid of the EC key, signed with RSA", bearer(signed("ec", "RS256", rsaKey())), refused},
		{"kid of the RSA key, signed with EC", bearer(signed("rsa", "ES256", ecKey())), refused},
		{"kid of the Ed25519 key, signed with EC", bearer(signed("ed", "ES256", ecKey())), refused},
		{"RSA signature called ES256", bearer(signed("ec", "ES256", rsaKey())), refused},
		{"PSS signature called RS256", bearer(reheaded(signed("rsa", "PS256", rsaKey()), header(nil))), refused},
		{"key for encryption", bearer(signed("enc", "RS256", otherKey())), refused},
		{"key for another algorithm", bearer(signed("ps-only", "RS256", otherKey())), refused},
		{"key for this algorithm", bearer(signed("ps-only", "PS256", otherKey())), alice},
		{"private key that was published", bearer(signed("private", "RS256", otherKey())), refused},
		{"no kid, one key fits", bearer(tokenWithHeader(object{"kid": absent{}})), alice},
		{"empty kid, one key fits", bearer(tokenWithHeader(object{"kid": ""})), alice},
		{"no kid, two keys fit", bearer(sign(rsaKey(), header(object{"kid": absent{}, "alg": "PS256"}), claims(nil))), refused},
		{"the other of two that fit, named", bearer(signed("rsa", "PS256", rsaKey())), alice},
		{"no kid, one EC key on the right curve", bearer(sign(ecKey(), header(object{"kid": absent{}, "alg": "ES256"}), claims(nil))), alice},
	})
}

// reheaded replaces a token's header and keeps its payload and signature.
func reheaded(token string, header object) string {
	_, rest, _ := strings.Cut(token, ".")
	return encoded(asJSON(header)) + "." + rest
}

func TestKeySetSkipsRSAKeysBelow2048Bits(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0") // Go refuses such keys by default
	weak := newRSA(1024)
	almost := newRSA(2040)
	set := append(published(), public("weak", weak), public("almost", almost))
	runAttempts(t, bearerModeWith(set), []attempt{
		{"1024 bits", bearer(sign(weak, header(object{"kid": "weak"}), claims(nil))), refused},
		{"1024 bits, PS256", bearer(sign(weak, header(object{"kid": "weak", "alg": "PS256"}), claims(nil))), refused},
		{"2040 bits", bearer(sign(almost, header(object{"kid": "almost"}), claims(nil))), refused},
		{"2048 bits beside them", bearer(goodToken()), alice},
	})
}

// A token must not supply its own key or a key URL. bearerMode fails if anyone but
// the provider is asked.
func TestBearerNeverTakesKeyFromToken(t *testing.T) {
	certificate := x509.Certificate{SerialNumber: big.NewInt(1)}
	der := must(x509.CreateCertificate(rand.Reader, &certificate, &certificate, attackerKey().Public(), attackerKey()))
	chain := []string{base64.StdEncoding.EncodeToString(der)}
	jwk := public("attacker", attackerKey())
	evil := "https://evil.example.com/keys"
	var attempts []attempt
	for name, edits := range map[string]object{
		"jku":                     {"jku": evil},
		"x5u":                     {"x5u": evil},
		"jwk":                     {"jwk": jwk},
		"x5c":                     {"x5c": chain},
		"all":                     {"jku": evil, "x5u": evil, "jwk": jwk, "x5c": chain},
		"jwk that is symmetric":   {"jwk": object{"kty": "oct", "k": encoded(leaked)}, "alg": "HS256"},
		"jwk with a private part": {"jwk": jose.JSONWebKey{Key: attackerKey(), KeyID: "attacker"}},
	} {
		for _, kid := range []any{"rsa", "attacker", absent{}} {
			token := sign(attackerKey(), header(edited(edits, object{"kid": kid})), claims(nil))
			attempts = append(attempts, attempt{name + ", kid " + strings.Trim(asJSON(kid), `{}"`), bearer(token), refused})
		}
	}
	runAttempts(t, bearerMode(), attempts)
}

func TestBearerRefusesUnknownCriticalHeaders(t *testing.T) {
	runAttempts(t, bearerMode(), []attempt{
		{"unknown", bearer(tokenWithHeader(object{"crit": []string{"https://example.com/pay"}, "https://example.com/pay": true})), refused},
		{"unknown and absent", bearer(tokenWithHeader(object{"crit": []string{"pay"}})), refused},
		{"of the wrong type", bearer(tokenWithHeader(object{"crit": "pay"})), refused},
	})
}
