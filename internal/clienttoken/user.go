package clienttoken

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// User is one of the application's own users, as the sign-in names them.
type User struct {
	// ID is unique among the application's users: see [CheckUserID].
	ID string
	// Claims are what the sign-in says about the user, by claim name, with the
	// values that encoding/json gives. They are shared: never change them.
	Claims map[string]any
}

// What is wrong with a user id.
var (
	errUserIDForm   = errors.New("the user id is not 1 to 255 printable characters")
	errUserIDSpaces = errors.New("the user id begins or ends with a space")
	errUserIDNFC    = errors.New("the user id is not in Unicode normalization form C (NFC): two spellings would be two users")
)

// ValidUserID reports whether id can be a user's: see [CheckUserID].
func ValidUserID(id string) bool { return CheckUserID(id) == nil }

// StorableUserID reports whether a row of an earlier version may have the id: 1 to
// 255 printable characters.
func StorableUserID(id string) bool {
	unfit := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	return id != "" && utf8.RuneCountInString(id) <= 255 && !strings.ContainsFunc(id, unfit)
}

// CheckUserID returns nil for an id that can be a user's, or says what is wrong
// with it. An id is 1 to 255 printable characters in Unicode normalization form C
// (UAX #15), without a space at either end and without characters that nobody
// sees. It is written to logs and databases, and operators type it: two ids that
// look the same would be two users. A JSON decoder puts U+FFFD in the place of
// what is no UTF-8, so two ids could become one: it is refused.
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

// UserIDs is how an application's user ids are compared. The zero UserIDs
// compares them byte by byte.
type UserIDs struct {
	// Emails says that the ids are e-mail addresses, which people write with
	// capitals or without.
	Emails bool
}

// UserIDsOf returns how ids of that claim are compared: email without regard to
// capitals, all others byte by byte.
func UserIDsOf(claim string) UserIDs { return UserIDs{Emails: claim == "email"} }

// Canonical returns the form in which id is stored and compared, byte by byte.
//
// Of an e-mail address it is the one without capitals. A letter beyond ASCII loses
// its capital where Unicode has one pair of the two and no third, such as Ü and ü.
// All others stay: folding them would make one user of two, as of ſ and s, or
// of İ and i.
func (u UserIDs) Canonical(id string) string {
	if !u.Emails {
		return id
	}
	return strings.Map(small, id)
}

// Check is [CheckUserID], and returns the id in its canonical form.
func (u UserIDs) Check(id string) (string, error) {
	if err := CheckUserID(id); err != nil {
		return "", err
	}
	return u.Canonical(id), nil
}

func small(r rune) rune {
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
