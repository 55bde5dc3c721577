package emulator

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
)

// sandboxHost is also accepted in links, so recorded requests and Dwolla's examples
// work.
const sandboxHost = "api-sandbox.dwolla.com"

const (
	halJSON   = "application/vnd.dwolla.v1.hal+json"
	plainJSON = "application/json"
)

// answer is an endpoint's response. write sends it after the lock is released.
type answer struct {
	status int
	header map[string]string // beside Content-Type
	media  string            // "": halJSON
	body   any               // nil: an empty body without a Content-Type
}

// problem is Dwolla's error body.
type problem struct {
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Embedded *embedded `json:"_embedded,omitempty"`
}

type embedded struct {
	Errors []fieldError `json:"errors"`
}

// fieldError is one reason of a ValidationError.
type fieldError struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Path    string   `json:"path"`
	Links   struct{} `json:"_links"`
}

type link struct {
	Href         string `json:"href"`
	Type         string `json:"type,omitempty"`
	ResourceType string `json:"resource-type,omitempty"`
}

type selfLinks struct {
	Self link `json:"self"`
}

// links are a resource's links by relation.
type links map[string]link

func write(w http.ResponseWriter, a answer) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	body, err := json.Marshal(a.body)
	if err != nil { // no body of ours can fail to encode
		a.status, body = http.StatusInternalServerError, []byte(`{"code":"ServerError"}`)
	}
	w.Header().Set("Content-Type", orElse(a.media, halJSON))
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // the client is gone
}

// refuse is an error answer with the usual code of the status.
func refuse(status int, message string) answer {
	return refuseAs(status, codeOf(status), message)
}

func refuseAs(status int, code, message string) answer {
	return answer{status: status, body: problem{Code: code, Message: message}}
}

// invalid is a ValidationError.
func invalid(errs ...fieldError) answer {
	return answer{status: http.StatusBadRequest, body: problem{
		Code:     "ValidationError",
		Message:  "Validation error(s) present. See embedded errors list for more details.",
		Embedded: &embedded{Errors: errs},
	}}
}

func created(location string) answer {
	return answer{status: http.StatusCreated, header: map[string]string{"Location": location}}
}

// codeOf is Dwolla's usual code for a status. Dwolla's table lacks 413 and 415.
func codeOf(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "BadRequest"
	case http.StatusUnauthorized:
		return "InvalidAccessToken"
	case http.StatusForbidden:
		return "Forbidden"
	case http.StatusNotFound:
		return "NotFound"
	case http.StatusMethodNotAllowed:
		return "MethodNotAllowed"
	case http.StatusNotAcceptable:
		return "InvalidVersion"
	case http.StatusRequestEntityTooLarge:
		return "PayloadTooLarge"
	case http.StatusUnsupportedMediaType:
		return "UnsupportedMediaType"
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	default:
		return "ServerError"
	}
}

// decode reads exactly one JSON value. It ignores unknown members, because Dwolla
// has many more.
func (c call) decode(into any) bool {
	return json.Unmarshal(c.body, into) == nil
}

func notJSON() answer {
	return refuse(http.StatusBadRequest, "The request body is not the JSON that is expected here.")
}

// url is the absolute URL of a resource.
func (c call) url(path string) string { return c.root + path }

// link is a link to a resource of this emulator.
func (c call) link(path, resourceType string) link {
	return link{Href: c.url(path), Type: halJSON, ResourceType: resourceType}
}

// list is the answer with a collection of the resource type, such as "document". Dwolla
// embeds it under the plural.
func list[T any](c call, path, resourceType string, resources []T) answer {
	return answer{status: http.StatusOK, body: map[string]any{
		"_links":    selfLinks{Self: c.link(path, resourceType)},
		"_embedded": map[string][]T{resourceType + "s": append([]T{}, resources...)}, // never null
		"total":     len(resources),
	}}
}

// rootOf starts the links in the answer to r.
func (e *Emulator) rootOf(r *http.Request) string {
	if e.options.LinkRoot != "" {
		return e.options.LinkRoot
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// linked returns the lower-case id in an absolute URL such as
// https://HOST/customers/ID, and whether href is such a URL of this emulator. The
// resource may not exist.
func (c call) linked(href, collection string) (string, bool) {
	scheme, rest, absolute := strings.Cut(href, "://")
	host, id, found := strings.Cut(rest, collection)
	web := strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")
	ours := strings.EqualFold(host, c.request.Host) || strings.EqualFold(host, sandboxHost)
	return strings.ToLower(id), absolute && found && web && ours
}

// mediaType is the bare media type of a Content-Type, or of one part of Accept.
func mediaType(s string) string {
	bare, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(bare))
}

func newUUID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // documented never to fail
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	h := hex.EncodeToString(raw[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// isUUID reports whether s has the form of a UUID in lower case.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		digit := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		if dash && c != '-' || !dash && !digit {
			return false
		}
	}
	return true
}
