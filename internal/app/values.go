package app

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// whiteSpace is the ASCII white space that editors, shells and env files leave around
// a value.
const whiteSpace = " \t\r\n\v\f"

const byteOrderMark = "\ufeff"

// clean removes the white space around a value, and a byte order mark before it.
func clean(value string) string {
	for {
		shorter := strings.TrimPrefix(strings.Trim(value, whiteSpace), byteOrderMark)
		if shorter == value {
			return value
		}
		value = shorter
	}
}

// checkText finds signs of a wrong encoding or quoting in a clean value. The error
// shows at most the code point of one character.
func checkText(value string) error {
	switch {
	case strings.HasPrefix(value, "\xff\xfe"), strings.HasPrefix(value, "\xfe\xff"), strings.ContainsRune(value, 0):
		return errors.New("contains UTF-16 or NUL bytes: save it as UTF-8")
	case !utf8.ValidString(value):
		return errors.New("is not UTF-8")
	case quoted(value):
		return errors.New("has quotes around it, which would become part of the value: remove them")
	}
	if at := strings.IndexFunc(value, invisible); at >= 0 {
		r, _ := utf8.DecodeRuneInString(value[at:])
		return fmt.Errorf("contains the invisible character %U: remove it (or write it as %%XX in a URL)", r)
	}
	return nil
}

func quoted(value string) bool {
	for _, quotes := range []string{`"`, `'`, "`"} {
		if len(value) > 1 && strings.HasPrefix(value, quotes) && strings.HasSuffix(value, quotes) {
			return true
		}
	}
	return strings.HasPrefix(value, "“") || strings.HasPrefix(value, "‘")
}

// invisible reports whether r is a control or formatting character, a space other
// than the ASCII one, another character without ink (a Hangul filler, a variation
// selector), or the replacement character of a failed conversion.
func invisible(r rune) bool {
	const brailleBlank = '\u2800'
	return unicode.IsControl(r) || r != ' ' && unicode.IsSpace(r) || r == brailleBlank || r == utf8.RuneError ||
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// cleanValues cleans the settings in vars, and deletes those with a fault.
func (f faults) cleanValues(vars map[string]string) {
	for field := range settings() {
		name := field.Tag.Get("env")
		value, err := cleanValue(field, vars[name])
		f.keep(vars, name, value, err)
		file := clean(vars[name+"_FILE"])
		f.keep(vars, name+"_FILE", file, checkText(file))
	}
}

// keep puts a clean value into vars, unless it is empty or has a fault.
func (f faults) keep(vars map[string]string, name, value string, err error) {
	f.addError(name, err)
	if value == "" || err != nil {
		delete(vars, name)
		return
	}
	vars[name] = value
}

// mostValues is how many values a setting with the tag values may have.
const mostValues = 16

// cleanValue cleans the value of a setting, or each of its values.
func cleanValue(field reflect.StructField, value string) (string, error) {
	value = clean(value)
	kind := field.Tag.Get("values")
	if kind == "" {
		return value, checkText(oneLine(field, value))
	}
	var values []string
	for line := range strings.Lines(value) {
		if line = clean(line); line == "" {
			continue
		}
		if err := checkText(line); err != nil {
			return "", err
		}
		if slices.Contains(values, line) {
			return "", errors.New("has the same value on two lines")
		}
		values = append(values, line)
	}
	if len(values) > mostValues {
		return "", fmt.Errorf("has more than %d lines", mostValues)
	}
	if len(values) > 1 && slices.ContainsFunc(values, func(line string) bool { return len(line) < leastSecret }) {
		return "", fmt.Errorf("has several lines, one of them shorter than %d characters: join the lines of a broken value", leastSecret)
	}
	if kind == "commas" {
		return strings.Join(values, ","), nil
	}
	return strings.Join(values, "\n"), nil
}

// oneLine replaces the line breaks and tabs that a list or an SQL statement may
// contain, for example in a YAML file.
func oneLine(field reflect.StructField, value string) string {
	if field.Type.Kind() != reflect.Slice && field.Tag.Get("lines") == "" {
		return value
	}
	return strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(value)
}
