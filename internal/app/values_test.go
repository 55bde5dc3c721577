package app_test

import (
	"encoding/binary"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"

	"dropgate/internal/app"
)

// asUTF16 encodes text as Windows tools do.
func asUTF16(order binary.AppendByteOrder, text string) string {
	var encoded []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		encoded = order.AppendUint16(encoded, unit)
	}
	return string(encoded)
}

const fileSecret = "kq3Zr0qG2tYc9pXa7LsWm1vB"

func TestWhiteSpaceAroundValuesIsIgnored(t *testing.T) {
	for _, content := range []string{
		fileSecret, fileSecret + "\n", fileSecret + "\r\n", fileSecret + "\n\r\n\n", fileSecret + "\r", "\n" + fileSecret, "  " + fileSecret + " \t",
		"\ufeff" + fileSecret, "\ufeff" + fileSecret + "\r\n", "\ufeff " + "\ufeff\n" + fileSecret, "\v\f" + fileSecret + "\f\v",
	} {
		vars := good()
		vars["DWOLLA_CLIENT_SECRET"] = content
		vars["DWOLLA_CLIENT_ID"] = "\r\n the-key\t"
		vars["AUTH_BEARER_ISSUER"] += "\r\n"
		vars["LOG_LEVEL"] = " warn\r"
		vars["DWOLLA_TIMEOUT"] = "3s "
		config, err := app.Load(environ(vars))
		if err != nil {
			t.Errorf("%q: %v", content, err)
			continue
		}
		if config.ClientSecret.Reveal() != fileSecret || config.ClientID != "the-key" || config.BearerIssuer != "https://idp.example.com/realm" {
			t.Errorf("%q: secret %q, id %q, issuer %q", content, config.ClientSecret.Reveal(), config.ClientID, config.BearerIssuer)
		}
		delete(vars, "DWOLLA_CLIENT_SECRET")
		vars["DWOLLA_CLIENT_SECRET_FILE"] = " " + writeFile(t, content) + "\n"
		if config, err = app.Load(environ(vars)); err != nil || config.ClientSecret.Reveal() != fileSecret {
			t.Errorf("a file with %q: %v, secret %q", content, err, config.ClientSecret.Reveal())
		}
	}
}

// unreadable maps values with a wrong encoding or quoting to a part of their fault.
func unreadable() map[string]string {
	return map[string]string{
		"\xff\xfe" + asUTF16(binary.LittleEndian, fileSecret): "UTF-16",
		"\xfe\xff" + asUTF16(binary.BigEndian, fileSecret):    "UTF-16",
		asUTF16(binary.LittleEndian, fileSecret+"\r\n"):       "UTF-16 or NUL",
		asUTF16(binary.BigEndian, fileSecret):                 "UTF-16 or NUL",
		fileSecret + "\x00":                                   "NUL",
		fileSecret + "\u3164":                                 "U+3164", // a Hangul filler
		fileSecret + "\ufe0f":                                 "U+FE0F", // a variation selector
		fileSecret + "\u2800":                                 "U+2800", // a blank in Braille
		"\x00\n" + fileSecret:                                 "NUL",
		"kq3Zr0qG\xff2tYc9pXa7LsWm1vB":                        "is not UTF-8",
		"kq3Zr0qG\xe92tYc9pXa7LsWm1vB":                        "is not UTF-8", // Latin-1
		fileSecret + "\u00a0":                                 "U+00A0",
		"\u00a0" + fileSecret:                                 "U+00A0",
		fileSecret + "\u200b":                                 "U+200B",
		fileSecret + "\ufeff":                                 "U+FEFF",
		"\u2060" + fileSecret:                                 "U+2060",
		fileSecret + "\u2028":                                 "U+2028",
		"kq3Zr0qG\u20282tYc9pXa7LsWm1vB":                      "U+2028",
		"kq3Zr0qG\n2tYc9pXa7LsWm1vB":                          "a broken value",
		"kq3Zr0qG\r\n2tYc9pXa7LsWm1vB":                        "a broken value",
		fileSecret + "\n\n" + fileSecret + "\n":               "the same value on two lines",
		fileSecret + "\n" + fileSecret + "\u200b":             "U+200B",
		"kq3Zr0qG\t2tYc9pXa7LsWm1vB":                          "U+0009",
		"kq3Zr0qG\x1b[0m2tYc9pXa7LsWm1vB":                     "U+001B",
		"kq3Zr0qG\u00852tYc9pXa7LsWm1vB":                      "U+0085",
		"kq3Zr0qG\ufffd2tYc9pXa7LsWm1vB":                      "U+FFFD",
		`"` + fileSecret + `"`:                                "remove them",
		`'` + fileSecret + `'`:                                "remove them",
		"“" + fileSecret + "”":                                "remove them",
		" \"" + fileSecret + "\"\r\n":                         "remove them",
	}
}

func TestUnreadableSecretsAreFaults(t *testing.T) {
	for content, want := range unreadable() {
		for name := range secretUsers() {
			for suffix, value := range map[string]string{"": content, "_FILE": writeFile(t, content)} {
				changes := map[string]string{"DWOLLA_CLIENT_SECRET": fileSecret}
				maps.Copy(changes, secretUsers()[name])
				changes[name], changes[name+suffix] = "", value
				faults := strings.Join(faultsOf(t, changes), "\n")
				if !strings.HasPrefix(faults, name+suffix+": ") || !strings.Contains(faults, want) || strings.Contains(faults, "2tYc9pXa") {
					t.Errorf("%s=%q: %q, want %q and no quote", name+suffix, content, faults, want)
				}
			}
		}
	}
}

func TestUnreadableSettingsAreFaults(t *testing.T) {
	for name, value := range map[string]string{
		"DWOLLA_CLIENT_ID": "the\u00a0key", "AUTH_BEARER_ISSUER": `"https://idp.example.com"`, "ALLOWED_ACTIONS": `"customer.read"`,
		"AUTH_MODES": "bearer\u200b", "LOG_LEVEL": "'info'", "HTTP_ADDR": ":8080\x00", "RATE_LIMIT_USER": "60/1m\u00a0",
		"ALLOWED_ORIGINS": "https://a.example,\u00a0https://b.example", "DWOLLA_CLIENT_SECRET_FILE": `"/run/secrets/x"`,
	} {
		changes := map[string]string{name: value}
		if name == "DWOLLA_CLIENT_SECRET_FILE" {
			changes["DWOLLA_CLIENT_SECRET"] = ""
		}
		if faults := faultsOf(t, changes); len(faults) == 0 || !regexp.MustCompile("^"+name+": (has|contains) ").MatchString(faults[0]) {
			t.Errorf("%s=%q: %q", name, value, faults)
		}
	}
}

// TestListsAndQueriesMaySpanLines: YAML files have such values.
func TestListsAndQueriesMaySpanLines(t *testing.T) {
	if faults := faultsOf(t, map[string]string{
		"ALLOWED_ACTIONS": "customer.read,\n  dwolla-document-upload,\r\n\tcustomer.update\n", "AUTH_BEARER_CLIENT_IDS": "web,\nmobile",
		"CUSTOMER_SOURCE": "query", "DATABASE_URL": "postgres://db/app", "CUSTOMER_QUERY": "SELECT customer\n\tFROM users\n WHERE id = $1\n",
	}); faults != nil {
		t.Errorf("%q", faults)
	}
}

func TestPipeWithoutWriterDoesNotBlockStart(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	faults := faultsOf(t, map[string]string{"DWOLLA_CLIENT_SECRET": "", "DWOLLA_CLIENT_SECRET_FILE": pipe})
	if len(faults) != 1 || !strings.Contains(faults[0], "is empty") {
		t.Errorf("faults %q", faults)
	}
}

func TestUnusableSecretFileIsAFault(t *testing.T) {
	for want, file := range map[string]string{
		"no such file": filepath.Join(t.TempDir(), "none"),
		"is empty":     writeFile(t, "\ufeff \r\n"),
		"larger than":  writeFile(t, strings.Repeat("x", 64<<10+1)),
		"given twice":  writeFile(t, fileSecret),
	} {
		changes := map[string]string{"DWOLLA_CLIENT_SECRET": "", "DWOLLA_CLIENT_SECRET_FILE": file}
		if want == "given twice" {
			changes["DWOLLA_CLIENT_SECRET"] = fileSecret
		}
		faults := faultsOf(t, changes)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], "DWOLLA_CLIENT_SECRET") || !strings.Contains(faults[0], want) {
			t.Errorf("faults %q, want one with %q", faults, want)
		}
	}
}
