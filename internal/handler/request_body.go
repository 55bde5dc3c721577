package handler

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/go-playground/validator/v10"

	"dropgate/internal/clienttoken"
)

// maxBody is the largest request body, in bytes. The drop-in components send a few
// hundred.
const maxBody = 64 << 10

// maxEmbedded limits the faults in one response.
const maxEmbedded = 20

// clientTokenRequest is the body of POST /client-tokens. The components send their
// HAL links as "links", newer versions also as "_links". Other members are ignored.
type clientTokenRequest struct {
	Action string    `json:"action"`
	HAL    *halLinks `json:"_links"`
	Plain  *halLinks `json:"links"`
}

// halLinks holds the HAL links that a request may name, and all others. A null link
// counts as not named.
type halLinks struct {
	Customer        *halLink                  `json:"customer"`
	BeneficialOwner *halLink                  `json:"beneficial-owner"`
	Others          map[string]jsontext.Value `json:",embed"`
}

// halLink is one HAL link. Its "type" and "resource-type" are ignored.
type halLink struct {
	Href string `json:"href" validate:"href"`
}

// flatRequest is a clientTokenRequest for the validator. It is flat because the
// validator uses a kilobyte of stack per level, and each connection would keep
// twice the stack (docs/performance.md).
type flatRequest struct {
	Action        string  `json:"action" validate:"required,max=255"`
	Customer      *string `json:"_links/customer/href" validate:"omitnil,href"`
	Owner         *string `json:"_links/beneficial-owner/href" validate:"omitnil,href"`
	PlainCustomer *string `json:"links/customer/href" validate:"omitnil,href"`
	PlainOwner    *string `json:"links/beneficial-owner/href" validate:"omitnil,href"`
}

func (r *clientTokenRequest) flat() *flatRequest {
	n := &flatRequest{Action: r.Action}
	if r.HAL != nil {
		n.Customer, n.Owner = r.HAL.Customer.hrefOrNil(), r.HAL.BeneficialOwner.hrefOrNil()
	}
	if r.Plain != nil {
		n.PlainCustomer, n.PlainOwner = r.Plain.Customer.hrefOrNil(), r.Plain.BeneficialOwner.hrefOrNil()
	}
	return n
}

// hrefOrNil returns the URL of the link, or nil if it was not named.
func (l *halLink) hrefOrNil() *string {
	if l == nil {
		return nil
	}
	return &l.Href
}

func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string { return field.Tag.Get("json") })
	err := v.RegisterValidation("absolute_url", func(field validator.FieldLevel) bool {
		return absoluteURL(field.Field().String())
	})
	if err != nil {
		panic(err) // cannot happen: the tag is neither empty nor reserved
	}
	v.RegisterAlias("href", "min=1,max=2048,absolute_url")
	return v
}

// absoluteURL reports whether raw is an http or https URL with a host. The validator's
// own http_url parses the URL twice.
func absoluteURL(raw string) bool {
	if rest, ok := strings.CutPrefix(raw, "https://"); ok && plainPath(rest) {
		return true // nearly every URL of Dwolla, without parsing
	}
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// plainPath reports whether a host and a path need no parsing: letters, digits,
// hyphens, dots and slashes, and a host.
func plainPath(rest string) bool {
	for i := range len(rest) {
		switch c := rest[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.':
		case c == '/' && i > 0:
		default:
			return false
		}
	}
	return rest != ""
}

// decode reads a body of exactly one JSON object, for all routes with a JSON body.
func decode[T any](w http.ResponseWriter, r *http.Request) (*T, error) {
	if reason := contentTypeFault(r.Header); reason != "" {
		return nil, &problem{code: unsupportedMediaType, reason: reason}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, readProblem(err)
	}
	var request *T // stays nil if the body is null
	if err := json.Unmarshal(body, &request); err != nil || request == nil {
		return nil, jsonProblem(err)
	}
	return request, nil
}

// readClientTokenRequest reads the body of POST /client-tokens. It keeps all values
// unchanged.
func (h *handler) readClientTokenRequest(w http.ResponseWriter, r *http.Request) (clienttoken.Request, error) {
	request, err := decode[clientTokenRequest](w, r)
	if err != nil {
		return clienttoken.Request{}, err
	}
	if faults := append(unknownRelations("_links", request.HAL), unknownRelations("links", request.Plain)...); len(faults) > 0 {
		return clienttoken.Request{}, validationProblem(faults)
	}
	if err := h.validate.StructCtx(r.Context(), request.flat()); err != nil {
		return clienttoken.Request{}, memberProblem(err)
	}
	named := cmp.Or(request.HAL, request.Plain, &halLinks{})
	if also := request.Plain; also != nil &&
		(href(also.Customer) != href(named.Customer) || href(also.BeneficialOwner) != href(named.BeneficialOwner)) {
		return clienttoken.Request{}, &problem{
			code:    clienttoken.BadRequest,
			message: `"links" and "_links" are two names of one member, but their values differ.`,
			reason:  "links and _links differ",
		}
	}
	return clienttoken.Request{
		Action:          request.Action,
		Customer:        href(named.Customer),
		BeneficialOwner: href(named.BeneficialOwner),
	}, nil
}

// href returns the URL of the link, or "" if it was not named.
func href(l *halLink) string {
	if l == nil {
		return ""
	}
	return l.Href
}

// contentTypeFault returns why the headers rule out a JSON body, or "". It also
// accepts the media type of Dwolla's API.
func contentTypeFault(header http.Header) string {
	if coding := strings.Join(header["Content-Encoding"], ", "); coding != "" && coding != "identity" {
		return "a content coding"
	}
	contentType := strings.Join(header["Content-Type"], ", ")
	if contentType == "application/json" { // the usual case, without parsing
		return ""
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "application/json" && mediaType != "application/vnd.dwolla.v1.hal+json" {
		return fmt.Sprintf("media type %.100q", mediaType)
	}
	return ""
}

// requireEmptyBody refuses a request with a body. It reads at most one byte.
func requireEmptyBody(r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	switch _, err := io.ReadFull(r.Body, make([]byte, 1)); {
	case errors.Is(err, io.EOF): // chunked, and empty
		return nil
	case err != nil:
		return readProblem(err)
	}
	return &problem{code: clienttoken.BadRequest, message: "The request body must be empty.", reason: "a body where none belongs"}
}

// readProblem is the error for an incomplete body.
func readProblem(err error) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{code: payloadTooLarge, reason: err.Error()}
	}
	return &problem{code: clienttoken.BadRequest, message: "The request body is incomplete.", reason: err.Error()}
}

// jsonProblem is the error for a body that is not one JSON object, has a duplicate
// member, or a member of the wrong type.
func jsonProblem(err error) *problem {
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok && wrong.JSONPointer != "" {
		return &problem{
			code:     validationError,
			embedded: []embeddedError{{Code: "Invalid", Message: "The value has the wrong type.", Path: string(wrong.JSONPointer)}},
			reason:   "wrong type at " + string(wrong.JSONPointer),
		}
	}
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return &problem{
			code:    clienttoken.BadRequest,
			message: fmt.Sprintf("The member %.100q occurs twice.", wrong.JSONPointer),
			reason:  "duplicate member",
		}
	}
	return &problem{
		code:    clienttoken.BadRequest,
		message: "The request body is not exactly one JSON object.",
		reason:  "not one JSON object",
	}
}

// unknownRelations lists forbidden link relations, such as "destination" (where
// money goes).
func unknownRelations(member string, l *halLinks) []embeddedError {
	if l == nil || len(l.Others) == 0 {
		return nil
	}
	var faults []embeddedError
	for _, relation := range slices.Sorted(maps.Keys(l.Others)) {
		name := fmt.Sprintf("%.100s", relation)
		faults = append(faults, embeddedError{
			Code:    "NotAllowed",
			Message: fmt.Sprintf("The link relation %q is not accepted: only customer and beneficial-owner are.", name),
			Path:    string(jsontext.Pointer("/" + member).AppendToken(name)),
		})
	}
	return faults
}

// memberProblem is the error for members with invalid values.
func memberProblem(err error) error {
	found, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		return err
	}
	var faults []embeddedError
	for _, f := range found {
		fault := embeddedError{Path: "/" + f.Field()}
		switch f.ActualTag() {
		case "required", "min":
			fault.Code, fault.Message = "Required", "A value is required."
		case "max":
			fault.Code, fault.Message = "Invalid", "The value is longer than "+f.Param()+" characters."
		default: // absolute_url
			fault.Code, fault.Message = "InvalidFormat", "The value is not an absolute http or https URL."
		}
		faults = append(faults, fault)
	}
	return validationProblem(faults)
}

func validationProblem(faults []embeddedError) *problem {
	return &problem{
		code:     validationError,
		embedded: faults[:min(len(faults), maxEmbedded)],
		reason:   faults[0].Code + " at " + faults[0].Path,
	}
}
