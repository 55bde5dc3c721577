package clienttoken

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Environment is one of Dwolla's two environments. They share no data.
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

// API is the Dwolla API behind this service. Its root is part of every canonical
// URL. The zero API accepts no URL.
type API struct {
	root string // such as "https://api-sandbox.dwolla.com", without a final slash
	// known lists the accepted roots, without scheme: Dwolla's public host and the
	// configured root. A drop-in component writes the public host even if the
	// service itself talks to an emulator.
	known []string
}

// NewAPI returns the API of env. A non-empty baseURL replaces its root, for an
// emulator or a gateway. It must be an absolute http or https URL without user
// info, query, fragment, escapes or "..", and must not be the other environment's
// host. Production requires https: plain http would expose the application's
// secret.
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
		return API{}, errors.New("base URL: production requires https")
	case rest == "" || rest[0] == '/' || rest[0] == ':':
		return API{}, fmt.Errorf("base URL: %.100q has no host", baseURL)
	case strings.HasPrefix(strings.ToLower(rest)+"/", other+"/"):
		return API{}, fmt.Errorf("base URL: %.100q does not belong to the %s environment", baseURL, env)
	case strings.Contains(rest, "..") || strings.Contains(rest+"/", "//"):
		return API{}, fmt.Errorf("base URL: %.100q contains \"..\" or an empty path segment", baseURL)
	}
	if _, err := url.Parse(root); err != nil { // such as a port that is not a number
		return API{}, fmt.Errorf("base URL: %w", err)
	}
	return API{root: root, known: []string{host, rest}}, nil
}

// Root is the base of all API paths, without a final slash.
func (a API) Root() string { return a.root }

// CustomerURL is the canonical URL of a Customer: the API's root and the id in
// lower case. Two are equal (==) exactly if they name the same Customer. The zero
// value names no Customer.
type CustomerURL struct{ href, id string }

// ParseCustomerURL parses the URL of a Customer from an untrusted source. The
// scheme (http or https), letter case and one final slash do not matter. Every
// other difference is an error: host, port, environment, user info, query,
// fragment, "..", an escape, or an id that is not a UUID. It matches raw without
// decoding it, so double decoding cannot occur.
func ParseCustomerURL(api API, raw string) (CustomerURL, error) {
	id, err := api.resourceID("customers", raw)
	if err != nil {
		return CustomerURL{}, err
	}
	return CustomerURL{href: api.root + "/customers/" + id, id: id}, nil
}

// ParseCustomerID returns the Customer with that id, a UUID in any letter case.
func ParseCustomerID(api API, id string) (CustomerURL, error) {
	if api.root == "" || !isUUID(id) {
		return CustomerURL{}, fmt.Errorf("%.100q is not the id of a Customer", id)
	}
	id = strings.ToLower(id)
	return CustomerURL{href: api.root + "/customers/" + id, id: id}, nil
}

// ParseCustomer parses either the id or the URL of a Customer.
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

// BeneficialOwnerURL is the canonical URL of a beneficial owner, like
// [CustomerURL]. It does not name the owner's Customer.
type BeneficialOwnerURL struct{ href string }

// ParseBeneficialOwnerURL parses the URL of a beneficial owner by the rules of
// [ParseCustomerURL].
func ParseBeneficialOwnerURL(api API, raw string) (BeneficialOwnerURL, error) {
	id, err := api.resourceID("beneficial-owners", raw)
	if err != nil {
		return BeneficialOwnerURL{}, err
	}
	return BeneficialOwnerURL{href: api.root + "/beneficial-owners/" + id}, nil
}

// ParseBeneficialOwnerID returns the beneficial owner with that id, a UUID in any
// letter case.
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

// resourceID returns the id, in lower case, from {known root}/{collection}/{id}.
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

// maxURLLength is in bytes. Dwolla's own URLs are shorter than 100.
const maxURLLength = 2048

// cutScheme removes http:// or https:// from raw. It fails without either scheme,
// or on a character that a plain API URL never needs. The result is ASCII, so
// strings.EqualFold is safe: with Unicode, U+212A equals "k".
func cutScheme(raw string) (string, error) {
	if len(raw) > maxURLLength {
		return "", fmt.Errorf("a URL of %d bytes is too long", len(raw))
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`%\?#@"<>`, c) >= 0 {
			return "", fmt.Errorf("%.100q contains %q, which is not valid in the URL of a Dwolla resource", raw, c)
		}
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return "", fmt.Errorf("%.100q is not an absolute http or https URL", raw)
	}
	return rest, nil
}

const uuidLength = len("707177c3-bf15-4e7e-b37c-55c3898d9bf4")

// isUUID accepts the RFC 9562 text form in any letter case. All ids in Dwolla's
// documentation have it.
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
