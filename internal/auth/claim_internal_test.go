package auth

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

const userOfManyForms = `{
	"sub": "alice", "n": 12345678901234567890, "fraction": 1.5, "exponent": 1e3, "negative": -7, "zero": -0,
	"one": ["alice"], "two": ["alice", "bob"], "number": [7], "none": null, "empty": "",
	"a.b": "literal", "a": {"b": "nested", "c": {"d": "deep"}, "n": 7, "none": null},
	"https://example.com/customer": "namespaced", "/odd": "literal pointer",
	"list": [{"id": "first"}, {"id": "second"}], "x/y": {"~": {"": "escaped"}},
	"hidden": null, "hid": {"den": "x"}, "p.q": null, "p": {"q": "path"},
	"user": {"email": "a@b.example", "email_verified": true}
}`

func TestClaimsAreFoundByNameOrPath(t *testing.T) {
	all, err := decodeObject([]byte(userOfManyForms))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sub": "alice", "n": "12345678901234567890", "negative": "-7", "fraction": json.Number("1.5"), "exponent": json.Number("1e3"),
		"zero": json.Number("-0"), "one": "alice", "two": []any{"alice", "bob"}, "number": []any{json.Number("7")}, "none": nil, "empty": "",
		"a.b": "literal", "/a/b": "nested", "a.c.d": "deep", "/a/c/d": "deep", "a.n": "7", "a.none": nil, "a.x": nil, "a.b.c": nil, "a.c.d.e": nil,
		"https://example.com/customer": "namespaced", "/odd": "literal pointer", "p.q": "path",
		"list.0.id": "first", "/list/1/id": "second", "/list/2/id": nil, "/list/-/id": nil, "/list/00/id": nil, "/list/+1/id": nil,
		"/x~1y/~0/": "escaped", "/sub": "alice", ".sub": nil, "a..b": nil, "sub.": nil, "/": nil,
		"sub.length": nil, "absent": nil, "SUB": nil,
	} {
		if got := mustClaim(name).in(all).value; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, want %#v", name, got, want)
		}
	}
}

func TestEmailPathNeedsVerificationBesideIt(t *testing.T) {
	for text, want := range map[string]string{
		`{"user":{"email":"a@b.example","email_verified":true}}`:                        "a@b.example",
		`{"user":{"email":"a@b.example","email_verified":"true"}}`:                      "a@b.example",
		`{"user":{"email":"a@b.example"},"email_verified":true}`:                        "",
		`{"user":{"email":"a@b.example","email_verified":false},"email_verified":true}`: "",
		`{"user":{"email":"a@b.example","email_verified":["true"]}}`:                    "",
		`{"user.email":"a@b.example","email_verified":true}`:                            "a@b.example",
		`{"user.email":"a@b.example","user":{"email_verified":true}}`:                   "",
	} {
		all, err := decodeObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := userIDFrom(sources{all}, mustClaim("user.email")); got != want || (want == "") != (err != nil) {
			t.Errorf("%s: %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestEmailClaimsAreRecognised(t *testing.T) {
	for name, want := range map[string]bool{
		"email": true, "user.email": true, "/user/email": true, "/email": true,
		"sub": false, "Email": false, "user.emails": false, "https://example.com/email": false, "": false, "email.": false, "/email/0": false,
	} {
		if got := NamesEmail(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}

func TestInvalidClaimNamesAreRefused(t *testing.T) {
	for _, name := range []string{"", "/~", "/a~2", "/~01~", strings.Repeat("a", 256)} {
		if ParseClaim(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
	for _, text := range []string{"", "token_use", "token_use=", "=access", "/~=x"} {
		if ParseRequiredClaim(text) == nil {
			t.Errorf("required claim %q is accepted", text)
		}
	}
}

func TestUserIDErrorNamesTheTypeFound(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "no claim sub", `{"sub":null}`: "no claim sub", `{"sub":true}`: "is a boolean", `{"sub":{}}`: "is an object",
		`{"sub":["a","b"]}`: "is an array", `{"sub":1.5}`: "is a number", `{"sub":""}`: "1 to 255", `{"sub":" a"}`: "space",
	} {
		all, err := decodeObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if id, err := mustClaim("sub").userID(sources{all}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, want %s", text, id, err, want)
		}
	}
}
