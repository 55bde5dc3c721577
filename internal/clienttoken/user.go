package clienttoken

import (
	"unicode"
	"unicode/utf8"
)

// User is one of the application's own users, as the sign-in names them.
type User struct {
	// ID is unique among the application's users: 1 to 255 printable characters.
	ID string
	// Claims are what the sign-in says about the user, by claim name, with the
	// values that encoding/json gives. They are shared: never change them.
	Claims map[string]any
}

// ValidUserID reports whether id can be a user's: it is written to logs and
// databases. A JSON decoder puts U+FFFD in the place of what is no UTF-8, so two
// ids could become one: it is refused.
func ValidUserID(id string) bool {
	if id == "" || utf8.RuneCountInString(id) > 255 {
		return false
	}
	for _, r := range id {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
