package clienttoken

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Environment is one of Dwolla's two, which share nothing: a Customer of one
// does not exist in the other.
type Environment string

// Dwolla's environments.
const (
	Sandbox    Environment = "sandbox"
	Production Environment = "production"
)

const (
	sandboxHost    = "api-sandbox.dwolla.com"
	productionHost = "api.dwolla.com"
)

// API is the Dwolla API that this service serves: the root that requests go to
// and that canonical URLs are written with. The zero API knows no URL.
type API struct {
	root string // "https://api-sandbox.dwolla.com", without a slash at the end
	// known are the roots under which a Customer may be named, without scheme:
	// Dwolla's public host of the environment and, where one is configured,
	// the other root. A drop-in component writes the public host even when the
	// service itself talks to an emulator.
	known []string
}

// NewAPI returns the API of env. A baseURL that is not empty replaces its root
// (an emulator, a gateway): an absolute http or https URL without user info,
// query, fragment, escapes or "..". Production refuses a baseURL that is not
// https: the application's secret would travel in the clear. The other
// environment's host is refused too.
func NewAPI(env Environment, baseURL string) (API, error) {
	host, other := sandboxHost, productionHost
	switch env {
	case Sandbox:
	case Production:
		host, other = other, host
	default:
		return API{}, fmt.Errorf("environment %q is neither %q nor %q", env, Sandbox, Production)
	}
	if baseURL == "" {
		return API{root: "https://" + host, known: []string{host}}, nil
	}
	root := strings.TrimSuffix(baseURL, "/")
	rest, err := cutScheme(root)
	switch {
	case err != nil:
		return API{}, fmt.Errorf("base URL: %w", err)
	case env == Production && !strings.HasPrefix(root, "https://"):
		return API{}, errors.New("base URL: production needs https")
	case rest == "" || rest[0] == '/' || rest[0] == ':':
		return API{}, fmt.Errorf("base URL: %.100q names no host", baseURL)
	case strings.HasPrefix(strings.ToLower(rest)+"/", other+"/"):
		return API{}, fmt.Errorf("base URL: %.100q is not of the %s environment", baseURL, env)
	case strings.Contains(rest, "..") || strings.Contains(rest+"/", "//"):
		return API{}, fmt.Errorf("base URL: %.100q holds \"..\" or an empty path segment", baseURL)
	}
	if _, err := url.Parse(root); err != nil { // a port that is none, a bracket too many
		return API{}, fmt.Errorf("base URL: %w", err)
	}
	return API{root: root, known: []string{host, rest}}, nil
}

// Root is the URL that API paths are appended to, without a slash at the end.
func (a API) Root() string { return a.root }

// CustomerURL names one Customer of one API in the canonical form: the API's
// own root and the id in lower case. Two are equal (==) exactly when they name
// the same Customer. The zero value names none.
type CustomerURL struct{ href, id string }

// ParseCustomerURL reads the URL of a Customer of api from an untrusted source.
// The scheme (http or https), letter case and one slash at the end do not
// matter, since what is sent on is the canonical form. Everything else does:
// another host or port, another environment, user info, a query, a fragment,
// "..", an escape, an id that is no UUID are errors. The raw string is matched
// as it is, never decoded, so there is nothing to be decoded twice.
func ParseCustomerURL(api API, raw string) (CustomerURL, error) {
	id, err := api.resourceID("customers", raw)
	if err != nil {
		return CustomerURL{}, err
	}
	return CustomerURL{href: api.root + "/customers/" + id, id: id}, nil
}

// ParseCustomerID returns the Customer of api with that id, a UUID in any
// letter case.
func ParseCustomerID(api API, id string) (CustomerURL, error) {
	if api.root == "" || !isUUID(id) {
		return CustomerURL{}, fmt.Errorf("%.100q is not the id of a Customer", id)
	}
	id = strings.ToLower(id)
	return CustomerURL{href: api.root + "/customers/" + id, id: id}, nil
}

// ParseCustomer reads what may be the id or the URL of a Customer of api, as
// people and other services write either.
func ParseCustomer(api API, idOrURL string) (CustomerURL, error) {
	if strings.Contains(idOrURL, "/") {
		return ParseCustomerURL(api, idOrURL)
	}
	return ParseCustomerID(api, idOrURL)
}

// ID is the Customer's id, a UUID in lower case.
func (c CustomerURL) ID() string { return c.id }

// String is the canonical URL.
func (c CustomerURL) String() string { return c.href }

// IsZero reports whether c names no Customer.
func (c CustomerURL) IsZero() bool { return c == CustomerURL{} }

// BeneficialOwnerURL names one beneficial owner, in the same way as
// [CustomerURL] names a Customer. It does not say whose owner it is.
type BeneficialOwnerURL struct{ href string }

// ParseBeneficialOwnerURL reads the URL of a beneficial owner with the rules of
// [ParseCustomerURL].
func ParseBeneficialOwnerURL(api API, raw string) (BeneficialOwnerURL, error) {
	id, err := api.resourceID("beneficial-owners", raw)
	if err != nil {
		return BeneficialOwnerURL{}, err
	}
	return BeneficialOwnerURL{href: api.root + "/beneficial-owners/" + id}, nil
}

// ParseBeneficialOwnerID returns the beneficial owner with that id, a UUID in
// any letter case.
func ParseBeneficialOwnerID(api API, id string) (BeneficialOwnerURL, error) {
	if api.root == "" || !isUUID(id) {
		return BeneficialOwnerURL{}, fmt.Errorf("%.100q is not the id of a beneficial owner", id)
	}
	return BeneficialOwnerURL{href: api.root + "/beneficial-owners/" + strings.ToLower(id)}, nil
}

// String is the canonical URL.
func (o BeneficialOwnerURL) String() string { return o.href }

// IsZero reports whether o names no beneficial owner.
func (o BeneficialOwnerURL) IsZero() bool { return o == BeneficialOwnerURL{} }

// resourceID returns the lower-case id at the end of raw when raw is
// {a known root}/{collection}/{id}.
func (a API) resourceID(collection, raw string) (string, error) {
	rest, err := cutScheme(raw)
	if err != nil {
		return "", err
	}
	rest = strings.TrimSuffix(rest, "/")
	for _, root := range a.known {
		prefix := len(root) + len(collection) + 2
		if len(rest) == prefix+uuidLength &&
			strings.EqualFold(rest[:prefix], root+"/"+collection+"/") && isUUID(rest[prefix:]) {
			return strings.ToLower(rest[prefix:]), nil
		}
	}
	return "", fmt.Errorf("%.100q is not one of the %s of %s", raw, collection, a.root)
}

// maxURLLength bounds what is read of a URL; Dwolla's own are under 100.
const maxURLLength = 2048

// cutScheme returns raw without http:// or https://, or an error when raw has
// neither or holds anything that a plain API URL never needs. Only ASCII is
// left afterwards, which makes strings.EqualFold safe: Unicode folding would
// take U+212A for a "k".
func cutScheme(raw string) (string, error) {
	if len(raw) > maxURLLength {
		return "", fmt.Errorf("a URL of %d bytes is too long", len(raw))
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`%\?#@"<>`, c) >= 0 {
			return "", fmt.Errorf("%.100q holds %q, which no URL of a Dwolla resource has", raw, c)
		}
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return "", fmt.Errorf("%.100q is not an absolute http or https URL", raw)
	}
	return rest, nil
}

const uuidLength = len("707177c3-bf15-4e7e-b37c-55c3898d9bf4")

// isUUID accepts the RFC 9562 text form in any letter case, as all ids in
// Dwolla's documentation are.
func isUUID(s string) bool {
	if len(s) != uuidLength {
		return false
	}
	for i, c := range []byte(s) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}
