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

// maxBody is the largest request body in bytes. The drop-in components send a
// few hundred.
const maxBody = 64 << 10

// maxEmbedded is how many faults of one request are told; it may have
// thousands.
const maxEmbedded = 20

// clientTokenRequest is the body of POST /client-tokens. The components send
// their links as "links", later versions as "_links" too. Every other member
// is accepted and dropped.
type clientTokenRequest struct {
	Action string `json:"action"`
	HAL    *links `json:"_links"`
	Plain  *links `json:"links"`
}

// links are those that a request may name, and whatever else it does name. A
// link that is null is one that was not named.
type links struct {
	Customer        *link                     `json:"customer"`
	BeneficialOwner *link                     `json:"beneficial-owner"`
	Others          map[string]jsontext.Value `json:",embed"`
}

// link is one link; its "type" and "resource-type" are dropped.
type link struct {
	Href string `json:"href" validate:"href"`
}

// named is what a request names, each under its place in it. It is flat: validator
// takes a kilobyte of stack for each level, and every connection would keep a
// stack that is twice as large (docs/performance.md).
type named struct {
	Action        string  `json:"action" validate:"required,max=255"`
	Customer      *string `json:"_links/customer/href" validate:"omitnil,href"`
	Owner         *string `json:"_links/beneficial-owner/href" validate:"omitnil,href"`
	PlainCustomer *string `json:"links/customer/href" validate:"omitnil,href"`
	PlainOwner    *string `json:"links/beneficial-owner/href" validate:"omitnil,href"`
}

func (r *clientTokenRequest) named() *named {
	n := &named{Action: r.Action}
	if r.HAL != nil {
		n.Customer, n.Owner = r.HAL.Customer.named(), r.HAL.BeneficialOwner.named()
	}
	if r.Plain != nil {
		n.PlainCustomer, n.PlainOwner = r.Plain.Customer.named(), r.Plain.BeneficialOwner.named()
	}
	return n
}

// named is the URL of a link, or nil where there is no link.
func (l *link) named() *string {
	if l == nil {
		return nil
	}
	return &l.Href
}

func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string { return field.Tag.Get("json") })
	// The validator's own http_url parses the text twice.
	err := v.RegisterValidation("absolute_url", func(field validator.FieldLevel) bool {
		u, err := url.Parse(field.Field().String())
		return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	})
	if err != nil {
		panic(err) // never: the tag is neither empty nor reserved
	}
	v.RegisterAlias("href", "min=1,max=2048,absolute_url")
	return v
}

// decode reads a body of exactly one JSON object.
func decode[T any](w http.ResponseWriter, r *http.Request) (*T, error) {
	if reason := notJSON(r.Header); reason != "" {
		return nil, &problem{code: unsupportedMediaType, reason: reason}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, unreadable(err)
	}
	var request *T // stays nil for a null
	if err := json.Unmarshal(body, &request); err != nil || request == nil {
		return nil, malformed(err)
	}
	return request, nil
}

// clientTokenRequest reads the request for a client token, word for word.
func (h *handler) clientTokenRequest(w http.ResponseWriter, r *http.Request) (clienttoken.Request, error) {
	request, err := decode[clientTokenRequest](w, r)
	if err != nil {
		return clienttoken.Request{}, err
	}
	if faults := append(unknownRelations("_links", request.HAL), unknownRelations("links", request.Plain)...); len(faults) > 0 {
		return clienttoken.Request{}, invalid(faults)
	}
	if err := h.validate.StructCtx(r.Context(), request.named()); err != nil {
		return clienttoken.Request{}, invalidMembers(err)
	}
	named := cmp.Or(request.HAL, request.Plain, &links{})
	if also := request.Plain; also != nil &&
		(href(also.Customer) != href(named.Customer) || href(also.BeneficialOwner) != href(named.BeneficialOwner)) {
		return clienttoken.Request{}, &problem{
			code:    clienttoken.BadRequest,
			message: `"links" and "_links" are two spellings of one member, and they differ.`,
			reason:  "links and _links differ",
		}
	}
	return clienttoken.Request{
		Action:          request.Action,
		Customer:        href(named.Customer),
		BeneficialOwner: href(named.BeneficialOwner),
	}, nil
}

// href is the URL of a link that was named, or empty.
func href(l *link) string {
	if l == nil {
		return ""
	}
	return l.Href
}

// notJSON says why the body cannot be JSON by its headers, if so. The other
// type is the one that Dwolla's own API speaks.
func notJSON(header http.Header) string {
	if coding := strings.Join(header["Content-Encoding"], ", "); coding != "" && coding != "identity" {
		return "a content coding"
	}
	contentType := strings.Join(header["Content-Type"], ", ")
	if contentType == "application/json" { // as nearly every request has it
		return ""
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "application/json" && mediaType != "application/vnd.dwolla.v1.hal+json" {
		return fmt.Sprintf("media type %.100q", mediaType)
	}
	return ""
}

// unreadable is the answer to a body that did not arrive whole.
func unreadable(err error) *problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{code: payloadTooLarge, reason: err.Error()}
	}
	return &problem{code: clienttoken.BadRequest, message: "The request body did not arrive whole.", reason: err.Error()}
}

// malformed is the answer to a body that is not one JSON object with members
// of the right types, each given once. A wrong type is told by its path, which
// is made of our own names only; what is given twice may have any name.
func malformed(err error) *problem {
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok && wrong.JSONPointer != "" {
		return &problem{
			code:     validationError,
			embedded: []embedded{{Code: "Invalid", Message: "The value has the wrong type.", Path: string(wrong.JSONPointer)}},
			reason:   "wrong type at " + string(wrong.JSONPointer),
		}
	}
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return &problem{
			code:    clienttoken.BadRequest,
			message: fmt.Sprintf("The member %.100q is given twice.", wrong.JSONPointer),
			reason:  "a member is given twice",
		}
	}
	return &problem{
		code:    clienttoken.BadRequest,
		message: "The request body is not exactly one JSON object.",
		reason:  "not one JSON object",
	}
}

// unknownRelations lists the links that no request may name. A destination, for
// one, says where money goes.
func unknownRelations(member string, l *links) []embedded {
	if l == nil || len(l.Others) == 0 {
		return nil
	}
	var faults []embedded
	for _, relation := range slices.Sorted(maps.Keys(l.Others)) {
		name := fmt.Sprintf("%.100s", relation)
		faults = append(faults, embedded{
			Code:    "NotAllowed",
			Message: fmt.Sprintf("The link relation %q is not accepted: only customer and beneficial-owner are.", name),
			Path:    string(jsontext.Pointer("/" + member).AppendToken(name)),
		})
	}
	return faults
}

// invalidMembers is the answer to a body whose members have values that they
// may not have.
func invalidMembers(err error) error {
	found, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		return err
	}
	var faults []embedded
	for _, f := range found {
		fault := embedded{Path: "/" + f.Field()}
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
	return invalid(faults)
}

func invalid(faults []embedded) *problem {
	return &problem{
		code:     validationError,
		embedded: faults[:min(len(faults), maxEmbedded)],
		reason:   faults[0].Code + " at " + faults[0].Path,
	}
}
