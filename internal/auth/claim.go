package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"dropgate/internal/clienttoken"
)

// claim finds one value in a token or in the application's answer. A member with
// exactly this name wins. Otherwise the name is a path.
type claim struct {
	name string   // as configured; sessions keep the value under it
	path []string // of two members or more; nil if the name is no path
}

// maxClaimName bounds the configured name of a claim, in bytes.
const maxClaimName = 255

// ParseClaim checks the name of a claim. A name that begins with "/" is also a JSON
// Pointer (RFC 6901). Another name with dots is also a path: app_metadata.customer
// is the member customer of the object app_metadata.
func ParseClaim(name string) error {
	_, err := parseClaim(name)
	return err
}

func parseClaim(name string) (claim, error) {
	if name == "" || len(name) > maxClaimName {
		return claim{}, fmt.Errorf("must have 1 to %d bytes", maxClaimName)
	}
	if pointer, ok := strings.CutPrefix(name, "/"); ok {
		if invalidEscape.MatchString(pointer) {
			return claim{}, errors.New("is not a JSON Pointer: after ~ comes 0 (for ~) or 1 (for /)")
		}
		path := strings.Split(pointer, "/")
		for i, step := range path {
			path[i] = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		}
		return claim{name, path}, nil
	}
	path := strings.Split(name, ".")
	if len(path) == 1 || slices.Contains(path, "") {
		path = nil
	}
	return claim{name, path}, nil
}

// mustClaim is parseClaim for a name that the configuration has checked.
func mustClaim(name string) claim {
	c, err := parseClaim(name)
	if err != nil {
		panic(fmt.Sprintf("auth: claim %q %v", name, err))
	}
	return c
}

// NamesEmail reports whether a claim holds e-mail addresses: it is email, or a path
// that ends there.
func NamesEmail(name string) bool {
	c, err := parseClaim(name)
	return err == nil && c.namesEmail()
}

func (c claim) namesEmail() bool {
	return c.name == "email" || len(c.path) > 0 && c.path[len(c.path)-1] == "email"
}

// found is the value of a claim, and the object that holds it.
type found struct {
	value  any // nil if the claim is absent or null
	beside map[string]any
}

// in finds the value of the claim. An integer becomes its exact decimal text, and an
// array of one string becomes that string.
func (c claim) in(all map[string]any) found {
	if value := all[c.name]; value != nil {
		return found{plain(value), all}
	}
	if len(c.path) == 0 {
		return found{}
	}
	var at any = all
	var beside map[string]any
	for _, step := range c.path {
		beside = nil
		switch container := at.(type) {
		case map[string]any:
			at, beside = container[step], container
		case []any:
			at = element(container, step)
		default:
			return found{}
		}
	}
	return found{plain(at), beside}
}

// element returns an element of an array by its index in decimal digits (RFC 6901,
// 4), or nil.
func element(array []any, index string) any {
	i, err := strconv.Atoi(index)
	if err != nil || strconv.Itoa(i) != index || i < 0 || i >= len(array) {
		return nil
	}
	return array[i]
}

// sources are the claims of one user, the most trusted ones first.
type sources []map[string]any

// find returns the claim from the first source that has it. email_verified then comes
// from the same source.
func (s sources) find(c claim) found {
	for _, all := range s {
		if f := c.in(all); f.value != nil {
			return f
		}
	}
	return found{}
}

// plain returns a string for the values that providers write in place of one.
func plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if integer.MatchString(value.String()) {
			return value.String()
		}
	case []any:
		if len(value) == 1 {
			if text, ok := value[0].(string); ok {
				return text
			}
		}
	}
	return value
}

var (
	integer       = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	invalidEscape = regexp.MustCompile(`~([^01]|$)`)
)

// userID returns the user id in the claim. The error is an invalidTokenError. It
// names the type that was found.
func (c claim) userID(from sources) (string, error) {
	f := from.find(c)
	id, ok := f.value.(string)
	switch {
	case f.value == nil:
		return "", invalidTokenError("no claim " + c.name)
	case !ok:
		return "", invalidTokenError(fmt.Sprintf("claim %s is %s, not a string or an integer", c.name, clienttoken.ClaimKind(f.value)))
	}
	if err := clienttoken.CheckUserID(id); err != nil {
		return "", invalidTokenError(fmt.Sprintf("claim %s: %v", c.name, err))
	}
	return id, nil
}

// decodeObject decodes a JSON object with unique members. Numbers keep their exact
// text.
func decodeObject(text []byte) (map[string]any, error) {
	var all map[string]any
	err := jsonv2.Unmarshal(text, &all, jsonv2.WithUnmarshalers(jsonv2.UnmarshalFromFunc(exactNumber)))
	if err == nil && all == nil {
		err = errors.New("null is not an object")
	}
	return all, err
}

// exactNumber decodes a number into a json.Number.
func exactNumber(decoder *jsontext.Decoder, value *any) error {
	if decoder.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported
	}
	text, err := decoder.ReadValue()
	*value = json.Number(bytes.Clone(text))
	return err //nolint:wrapcheck // the decoder's own
}
