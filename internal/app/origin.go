package app

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"dropgate/internal/clienttoken"
)

// shellSchemes are the schemes of pages inside mobile and desktop app shells and
// browser extensions.
func shellSchemes() []string {
	return []string{"app", "capacitor", "ionic", "tauri", "chrome-extension", "moz-extension", "safari-web-extension"}
}

// tauriOrigin is the origin of Tauri apps on Android and Windows. RFC 6761 keeps
// .localhost on the machine, so an attacker on the network cannot change the page.
const tauriOrigin = "http://tauri.localhost"

// checkOrigin accepts an origin exactly as a browser writes it in the Origin header
// (https://url.spec.whatwg.org/#origin), so that comparing strings is enough. For
// another spelling, the error has the right one if possible.
func checkOrigin(origin string, environment clienttoken.Environment) error {
	written, err := browserOrigin(origin)
	if err != nil {
		return fmt.Errorf("%s is not an origin as browsers send it, such as https://app.example.com: %w", shown(origin), err)
	}
	if written != origin {
		return fmt.Errorf("%s is not how browsers write it: write %s", shown(origin), written)
	}
	scheme, _, _ := strings.Cut(origin, "://")
	if scheme == "http" && environment == clienttoken.Production && origin != tauriOrigin {
		return fmt.Errorf("%q is not https", origin)
	}
	return nil
}

// browserOrigin returns the origin of a URL as a browser writes it. It accepts what
// people type, such as a host without a scheme.
func browserOrigin(raw string) (string, error) {
	if strings.EqualFold(raw, "null") {
		return "", errors.New("any page without an origin sends null")
	}
	scheme, rest := splitScheme(raw)
	web := scheme == "http" || scheme == "https"
	if !web && !slices.Contains(shellSchemes(), scheme) {
		return "", fmt.Errorf("its scheme is neither http, https nor one of %s", strings.Join(shellSchemes(), ", "))
	}
	end := strings.IndexAny(rest, `/\?#`)
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if strings.Contains(path, "@") {
		return "", errors.New("it has an @ after the host")
	}
	host, port := splitPort(authority[strings.LastIndex(authority, "@")+1:])
	port, err := browserPort(port)
	if err != nil {
		return "", err
	}
	if host, err = browserHost(host); err != nil {
		return "", err
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

// splitScheme splits the scheme off a URL. Browsers read https:a and https:\a like
// https://a; people type a.
func splitScheme(raw string) (scheme, rest string) {
	if web := regexp.MustCompile(`^(?i)(https?):[/\\]*`).FindStringSubmatch(raw); web != nil {
		return strings.ToLower(web[1]), raw[len(web[0]):]
	}
	if scheme, rest, found := strings.Cut(raw, "://"); found {
		return strings.ToLower(scheme), rest
	}
	return "https", raw
}

// splitPort splits the port off a host.
func splitPort(authority string) (host, port string) {
	at := strings.LastIndex(authority, ":")
	if at <= strings.LastIndex(authority, "]") {
		return authority, ""
	}
	return authority[:at], authority[at+1:]
}

// browserPort returns a port without leading zeros.
func browserPort(port string) (string, error) {
	if port == "" {
		return "", nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", errors.New("its port is not a number from 0 to 65535")
	}
	return strconv.FormatUint(number, 10), nil
}

// browserHost returns a host as browsers write it: in lower case, as A-labels, and
// addresses in canonical form.
func browserHost(host string) (string, error) {
	if address, found := strings.CutPrefix(host, "["); found {
		return browserIPv6(strings.TrimSuffix(address, "]"))
	}
	decoded, err := url.PathUnescape(host)
	if err != nil {
		return "", errors.New("it has a % that does not begin an escape")
	}
	// UTS 46 as browsers use it (https://url.spec.whatwg.org/#concept-domain-to-ascii):
	// underscores and hyphens are allowed anywhere.
	profile := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false),
		idna.CheckHyphens(false), idna.CheckJoiners(true), idna.BidiRule())
	ascii, err := profile.ToASCII(decoded)
	if err != nil {
		return "", errors.New("its host is not a domain name")
	}
	if err := checkLabels(ascii); err != nil {
		return "", err
	}
	if endsInNumber(ascii) {
		return browserIPv4(strings.TrimSuffix(ascii, "."))
	}
	return ascii, nil
}

// checkLabels refuses a name if browsers refuse it or the DNS cannot hold it (RFC
// 1035, 2.3.4).
func checkLabels(name string) error {
	if strings.Contains(name, "*") {
		return errors.New("it has a *: list each origin")
	}
	if !regexp.MustCompile(`^[a-z0-9!$&'()+,;=_~"{}.` + "`" + `-]+$`).MatchString(name) {
		return errors.New("its host is missing or has invalid characters")
	}
	if len(strings.TrimSuffix(name, ".")) > 253 {
		return errors.New("its host is longer than 253 characters")
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 {
			return errors.New("its host has a label that is empty or longer than 63 characters")
		}
	}
	return nil
}

// endsInNumber reports whether browsers take a host for an IPv4 address
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndex(host, ".")+1:]
	return regexp.MustCompile(`^([0-9]+|0x[0-9a-f]*)$`).MatchString(last)
}

// browserIPv4 reads an IPv4 address in any form that browsers read: one to four
// parts, each in decimal, octal or hexadecimal. The last part fills the remaining
// bytes (https://url.spec.whatwg.org/#concept-ipv4-parser).
func browserIPv4(host string) (string, error) {
	wrong := errors.New("its host ends in a number, but is not an IPv4 address")
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return "", wrong
	}
	var address uint64
	for i, part := range parts {
		number, err := ipv4Number(part)
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if err != nil || number >= 1<<bits {
			return "", wrong
		}
		address = address<<bits | number
	}
	return netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}).String(), nil
}

func ipv4Number(part string) (uint64, error) {
	if digits, found := strings.CutPrefix(part, "0x"); found {
		if digits == "" {
			return 0, nil
		}
		return strconv.ParseUint(digits, 16, 33) //nolint:wrapcheck // the caller says what is wrong
	}
	if digits, found := strings.CutPrefix(part, "0"); found && digits != "" {
		return strconv.ParseUint(digits, 8, 33) //nolint:wrapcheck // the caller says what is wrong
	}
	return strconv.ParseUint(part, 10, 33) //nolint:wrapcheck // the caller says what is wrong
}

// browserIPv6 returns an IPv6 address as browsers write it: as in RFC 5952, but
// never with an embedded IPv4 address.
func browserIPv6(address string) (string, error) {
	parsed, err := netip.ParseAddr(address)
	if err != nil || !parsed.Is6() || parsed.Zone() != "" {
		return "", errors.New("its host is not an IPv6 address without a zone")
	}
	if parsed.Is4In6() {
		b := parsed.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15])), nil
	}
	return "[" + parsed.String() + "]", nil
}
