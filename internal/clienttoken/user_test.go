package clienttoken_test

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"dropgate/internal/clienttoken"
)

func TestUserIDHasOneSpelling(t *testing.T) {
	for _, good := range []string{"a", "a b", "auth0|5f7c", "ann@example.com", "\u00e9", "\u00fc\U0001f986", "\u5b57", "a\u00df", "'", "=1"} {
		if err := clienttoken.CheckUserID(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", " ", " a", "a ", "a\t", "\u00a0a", "a\u00a0", "a\u2003", "\u3000a", "a\u3000", "\u1680a", "a\u2028", "a\u0085", // spaces
		"e\u0301", "\u212a", "\u2126", "\u212b", "\u0958", "\u1100\u1161", "\ufa10", "a\u0315\u0300", // not NFC
		"a\u200b", "\u200ba", "a\u200db", "\u202ea", "\ufeffa", "a\u00adb", "a\u2060", "a\u034fb", "a\ufe0f", "\u3164", "\u115f", "\u180b", "a\U000e0100", "a\U000e0041", // unseen
		"a\x00b", "a\nb", "a\xffb", "\ufffd", "\ue000",
	} {
		if clienttoken.ValidUserID(bad) {
			t.Errorf("%+q can be a user's id", bad)
		}
	}
}

func TestEmailsIgnoreLetterCase(t *testing.T) {
	emails := clienttoken.UserIDs{Emails: true}
	for _, pair := range [][2]string{
		{"Ann@Example.COM", "ann@example.com"}, {"\u00dcNAL@B\u00dcCHER.example", "\u00fcnal@b\u00fccher.example"}, {"\u0410@x", "\u0430@x"},
	} {
		if a, b := emails.Canonical(pair[0]), emails.Canonical(pair[1]); a != b || b != pair[1] {
			t.Errorf("%q is %q, and %q is %q", pair[0], a, pair[1], b)
		}
	}
	for _, id := range []string{"Ann@Example.COM", "\u00dc"} {
		if got := (clienttoken.UserIDs{}).Canonical(id); got != id {
			t.Errorf("%q is %q", id, got)
		}
	}
}

func isCapital(r rune) bool {
	return unicode.IsUpper(r) || unicode.IsTitle(r) || unicode.ToLower(r) != r
}

// Of all characters, only a capital and its small letter become one.
func TestLowerCaseNeverMergesUsers(t *testing.T) {
	emails := clienttoken.UserIDs{Emails: true}
	of := map[string]rune{}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || !clienttoken.ValidUserID(string(r)) {
			continue
		}
		small := emails.Canonical(string(r))
		if small == string(r) {
			continue
		}
		if emails.Canonical(small) != small || !clienttoken.ValidUserID(small) || !isCapital(r) {
			t.Errorf("%q becomes %q", r, small)
		}
		if other, taken := of[small]; taken {
			t.Errorf("%q and %q both become %q", r, other, small)
		}
		of[small] = r
	}
	for _, trap := range []string{"\u0131", "\u0130", "\u017f", "\u03c2"} { // dotless i, dotted I, long s, final sigma
		if got := emails.Canonical(trap); got != trap {
			t.Errorf("%q becomes %q", trap, got)
		}
	}
}
