package clienttoken

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// User is a user of the application, as the sign-in identifies them.
type User struct {
	// ID is unique among the application's users: see [CheckUserID].
	ID string
	// Claims holds the user's claims by name, as encoding/json decodes them. The
	// map is shared: never change it.
	Claims map[string]any
}

var (
	errUserIDForm   = errors.New("the user id is not 1 to 255 printable characters")
	errUserIDSpaces = errors.New("the user id begins or ends with a space")
	errUserIDNFC    = errors.New("the user id is not in Unicode normalization form C (NFC): two spellings would be two users")
)

// ValidUserID reports whether [CheckUserID] accepts id.
func ValidUserID(id string) bool { return CheckUserID(id) == nil }

// StorableUserID reports whether an earlier version may have stored id: 1 to 255
// printable characters.
func StorableUserID(id string) bool {
	unfit := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	return id != "" && utf8.RuneCountInString(id) <= 255 && !strings.ContainsFunc(id, unfit)
}

// CheckUserID accepts an id of 1 to 255 printable characters in Unicode
// normalization form C (UAX #15), without a space at either end and without
// invisible characters. Operators read and type ids, so two ids that look alike
// would be mistaken for one user.
//
// It refuses U+FFFD: a JSON decoder substitutes it for invalid UTF-8, so two ids
// could become one.
func CheckUserID(id string) error {
	if id == "" || utf8.RuneCountInString(id) > 255 {
		return errUserIDForm
	}
	if strings.TrimFunc(id, unicode.IsSpace) != id {
		return errUserIDSpaces
	}
	for _, r := range id {
		if r == utf8.RuneError || !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return errUserIDForm
		}
	}
	if !norm.NFC.IsNormalString(id) {
		return errUserIDNFC
	}
	return nil
}

// UserIDs says how to compare user ids. The zero UserIDs compares them byte by
// byte.
type UserIDs struct {
	// Emails marks the ids as e-mail addresses: letter case does not matter.
	Emails bool
}

// Canonical returns the form of id for storage and comparison byte by byte.
//
// For an e-mail address this is lower case. A letter beyond ASCII changes only if
// Unicode pairs exactly two letters, such as Ü and ü. The others stay, because
// folding ſ to s or İ to i would merge two users.
func (u UserIDs) Canonical(id string) string {
	if !u.Emails {
		return id
	}
	return strings.Map(lowerCase, id)
}

// Check is [CheckUserID], and returns id in its canonical form.
func (u UserIDs) Check(id string) (string, error) {
	if err := CheckUserID(id); err != nil {
		return "", err
	}
	return u.Canonical(id), nil
}

// lowerCase implements [UserIDs.Canonical] for one letter.
func lowerCase(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}
	lower := unicode.ToLower(r)
	if lower < utf8.RuneSelf || unicode.SimpleFold(r) != lower || unicode.SimpleFold(lower) != r {
		return r
	}
	return lower
}
