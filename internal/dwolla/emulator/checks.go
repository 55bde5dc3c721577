package emulator

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
)

// checks collects the faults of a request.
type checks struct {
	errs []fieldError
	now  time.Time
}

// add adds a fault of the member at path, such as /controller/firstName.
func (k *checks) add(code, path, message string) {
	k.errs = append(k.errs, fieldError{Code: code, Message: message, Path: path})
}

// present reports whether value is there. If not, it adds the fault.
func (k *checks) present(path, value string) bool {
	if value == "" {
		k.add("Required", path, memberName(path)+" required.")
	}
	return value != ""
}

// valid adds a fault if the value is there and valid does not hold.
func (k *checks) valid(path, value string, valid func(string) bool) {
	if k.present(path, value) && !valid(value) {
		k.add("Invalid", path, memberName(path)+" invalid.")
	}
}

// optional also accepts an absent value.
func (k *checks) optional(path, value string, valid func(string) bool) {
	if value != "" {
		k.valid(path, value, valid)
	}
}

// unchanged adds a fault if the value is there and differs from the present one.
func (k *checks) unchanged(path, value, present string) {
	if value != "" && value != present {
		k.add("NotAllowed", path, memberName(path)+" cannot be changed.")
	}
}

// memberName is the last member of a path with a capital, as in Dwolla's messages.
func memberName(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	return strings.ToUpper(name[:1]) + name[1:]
}

func (k *checks) email(value string) {
	if !k.present("/email", value) {
		return
	}
	if address, err := mail.ParseAddress(value); err != nil || address.Address != value {
		k.add("InvalidFormat", "/email", "Email is invalid.")
	}
}

// birth checks a dateOfBirth: YYYY-MM-DD, of a person between 18 and 125 years.
func (k *checks) birth(path, value string) {
	k.valid(path, value, func(value string) bool {
		born, err := time.Parse(time.DateOnly, value)
		return err == nil && !born.AddDate(18, 0, 0).After(k.now) && born.AddDate(125, 0, 0).After(k.now)
	})
}

func isName(s string) bool { return len(s) <= 50 && !strings.ContainsAny(s, "<>=\"`!?%~${}\\") }

func isBusinessName(s string) bool {
	return len(s) <= 255 && !strings.ContainsAny(s, "<>=\"`%~{}\\")
}

func isAddressLine(s string) bool { return len(s) <= 50 }

// isState reports whether s is the two letters of a US state.
func isState(s string) bool { return len(s) == 2 && strings.ToUpper(s) == s && isLetters(s) }

func isCountry(s string) bool {
	return len(s) >= 2 && len(s) <= 50 && isLetters(strings.ReplaceAll(s, " ", ""))
}

func isLetters(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

// isPostalCode reports whether s is a US ZIP code, such as 50309 or 50309-1234.
func isPostalCode(s string) bool {
	code, extension, extended := strings.Cut(s, "-")
	return areDigits(code, 5) && (!extended || areDigits(extension, 4))
}

// isFullSSN reports whether s has the nine digits of a Social Security number.
func isFullSSN(s string) bool { return areDigits(strings.ReplaceAll(s, "-", ""), 9) }

// isSSN also accepts the last four digits.
func isSSN(s string) bool { return areDigits(s, 4) || isFullSSN(s) }

// isEIN reports whether s is an Employer Identification Number, such as 12-3456789.
func isEIN(s string) bool { return areDigits(strings.Replace(s, "-", "", 1), 9) }

func areDigits(s string, count int) bool { return len(s) == count && digitsOnly(s) }

func digitsOnly(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// isRoutingNumber reports whether s is a routing number of a US bank: nine digits,
// of which the last one is a checksum.
func isRoutingNumber(s string) bool {
	if !areDigits(s, 9) || s == "000000000" {
		return false
	}
	sum := 0
	for i, digit := range []byte(s) {
		sum += int(digit-'0') * []int{3, 7, 1}[i%3]
	}
	return sum%10 == 0
}

// isAccountNumber reports whether s has the 4 to 17 digits of a bank account.
func isAccountNumber(s string) bool { return len(s) >= 4 && len(s) <= 17 && digitsOnly(s) }
