package handler

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
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
	Action string           `json:"action" validate:"required,max=255"`
	HAL    map[string]*link `json:"_links" validate:"dive,required"`
	Plain  map[string]*link `json:"links"  validate:"dive,required"`
}

// The link relations that a request may name.
const (
	customerLink        = "customer"
	beneficialOwnerLink = "beneficial-owner"
)

// link is one link; its "type" and "resource-type" are dropped.
type link struct {
	Href string `json:"href" validate:"required,max=2048,http_url"`
}

func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(field reflect.StructField) string { return field.Tag.Get("json") })
	return v
}

// decode reads the request for a client token, word for word.
func (h *handler) decode(w http.ResponseWriter, r *http.Request) (clienttoken.Request, error) {
	if reason := notJSON(r.Header); reason != "" {
		return clienttoken.Request{}, &problem{code: unsupportedMediaType, reason: reason}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return clienttoken.Request{}, unreadable(err)
	}
	var request *clientTokenRequest // stays nil for a null
	if err := json.Unmarshal(body, &request); err != nil || request == nil {
		return clienttoken.Request{}, malformed(err)
	}
	if faults := append(unknownRelations("_links", request.HAL), unknownRelations("links", request.Plain)...); len(faults) > 0 {
		return clienttoken.Request{}, invalid(faults)
	}
	if err := h.validate.StructCtx(r.Context(), request); err != nil {
		return clienttoken.Request{}, invalidMembers(err)
	}
	links := request.HAL
	if links == nil {
		links = request.Plain
	}
	if request.Plain != nil && !maps.EqualFunc(links, request.Plain, func(a, b *link) bool { return *a == *b }) {
		return clienttoken.Request{}, &problem{
			code:    badRequest,
			message: `"links" and "_links" are two spellings of one member, and they differ.`,
			reason:  "links and _links differ",
		}
	}
	return clienttoken.Request{
		Action:          request.Action,
		Customer:        href(links[customerLink]),
		BeneficialOwner: href(links[beneficialOwnerLink]),
	}, nil
}

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
	mediaType, _, err := mime.ParseMediaType(strings.Join(header["Content-Type"], ", "))
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
	return &problem{code: badRequest, message: "The request body did not arrive whole.", reason: err.Error()}
}

// malformed is the answer to a body that is not one JSON object with members
// of the right types, each given once.
func malformed(err error) *problem {
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok && wrong.JSONPointer != "" {
		return &problem{
			code:     validationError,
			embedded: []embedded{{Code: "Invalid", Message: "The value has the wrong type.", Path: shortened(wrong.JSONPointer)}},
			reason:   fmt.Sprintf("wrong type at %.100q", wrong.JSONPointer),
		}
	}
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return &problem{
			code:    badRequest,
			message: fmt.Sprintf("The member %.100q is given twice.", wrong.JSONPointer),
			reason:  "a member is given twice",
		}
	}
	return &problem{
		code:    badRequest,
		message: "The request body is not exactly one JSON object.",
		reason:  "not one JSON object",
	}
}

// shortened cuts each name in p to what an answer may hold.
func shortened(p jsontext.Pointer) string {
	var short jsontext.Pointer
	for name := range p.Tokens() {
		short = short.AppendToken(fmt.Sprintf("%.100s", name))
	}
	return string(short)
}

// unknownRelations lists the links that no request may name. A destination, for
// one, says where money goes.
func unknownRelations(member string, links map[string]*link) []embedded {
	var faults []embedded
	for _, relation := range slices.Sorted(maps.Keys(links)) {
		if relation == customerLink || relation == beneficialOwnerLink {
			continue
		}
		name := fmt.Sprintf("%.100s", relation)
		faults = append(faults, embedded{
			Code:    "NotAllowed",
			Message: fmt.Sprintf("The link relation %q is not accepted: only %s and %s are.", name, customerLink, beneficialOwnerLink),
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
		fault := embedded{Path: pointer(f.Namespace())}
		switch f.Tag() {
		case "required":
			fault.Code, fault.Message = "Required", "A value is required."
		case "max":
			fault.Code, fault.Message = "Invalid", "The value is longer than "+f.Param()+" characters."
		default: // http_url
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

// pointer turns validator's "clientTokenRequest._links[customer].href" into
// the JSON pointer "/_links/customer/href".
func pointer(namespace string) string {
	_, path, _ := strings.Cut(namespace, ".")
	return "/" + strings.NewReplacer("[", "/", "].", "/", "]", "", ".", "/").Replace(path)
}
