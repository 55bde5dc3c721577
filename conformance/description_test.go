package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// description is Dwolla's, with a validator for it.
type description struct {
	validator validator.Validator
	model     *v3.Document
}

// read returns Dwolla's description. Without one the test is skipped, or fails if
// CI=true. DWOLLA_OPENAPI=none always skips it.
func read(t *testing.T) *description {
	t.Helper()
	raw, err := os.ReadFile(locate(t))
	switch {
	case err == nil:
	case os.Getenv("CI") == "true" && os.Getenv("DWOLLA_OPENAPI") != "none":
		t.Fatalf("Dwolla's OpenAPI description is missing; DWOLLA_OPENAPI=none skips the test: %v", err)
	default:
		t.Skipf("Dwolla's OpenAPI description is missing: %v", err)
	}
	document, err := libopenapi.NewDocument(patch(t, raw))
	if err != nil {
		t.Fatal(err)
	}
	// Without these options the validator accepts any form and any URI.
	v, errs := validator.NewValidator(document, config.WithURLEncodedBodyValidation(), config.WithFormatAssertions())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	return &description{v, &model.Model}
}

// locate returns the path in DWOLLA_OPENAPI, or else a path beside this repository or
// beside the repository it was cloned from.
func locate(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("DWOLLA_OPENAPI"); path != "" {
		return path
	}
	const place = "../shared/dwolla-openapi/openapi.yml"
	here := filepath.Join("..", place)
	if _, err := os.Stat(here); err == nil {
		return here
	}
	origin, err := exec.CommandContext(t.Context(), "git", "remote", "get-url", "origin").Output()
	if err != nil {
		return here
	}
	return filepath.Join(strings.TrimSpace(string(origin)), place)
}

// patch repairs two faults of the description: it names a dialect of JSON Schema that
// validators do not know, and a security scheme that it does not define.
func patch(t *testing.T, raw []byte) []byte {
	t.Helper()
	for old, repaired := range map[string]string{
		"jsonSchemaDialect: https://spec.openapis.org/oas/3.1/dialect/base": "jsonSchemaDialect: https://json-schema.org/draft/2020-12/schema",
		"\n  securitySchemes:\n": "\n  securitySchemes:\n    basicAuth: {type: http, scheme: basic}\n",
	} {
		if bytes.Count(raw, []byte(old)) != 1 {
			t.Fatalf("the description has no single %q to repair", old)
		}
		raw = bytes.Replace(raw, []byte(old), []byte(repaired), 1)
	}
	return raw
}

// operation is one of the description.
type operation struct{ method, path string }

func (o operation) String() string { return o.method + " " + o.path }

// operations are all operations of the description.
func (d *description) operations() []operation {
	var all []operation
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			all = append(all, operation{strings.ToUpper(method), path})
		}
	}
	return all
}

// find returns the operation of a request.
func (d *description) find(r *http.Request) (operation, bool) {
	got := strings.Split(r.URL.Path, "/")
	for _, o := range d.operations() {
		want := strings.Split(o.path, "/")
		same := o.method == r.Method && len(want) == len(got)
		for i := 0; same && i < len(want); i++ {
			same = want[i] == got[i] || strings.HasPrefix(want[i], "{")
		}
		if same {
			return o, true
		}
	}
	return operation{}, false
}

// exchange is a request with its answer.
type exchange struct {
	request *http.Request
	sent    []byte
	answer  *httptest.ResponseRecorder
}

// record serves a request and keeps the exchange.
func record(handler http.Handler, r *http.Request) (exchange, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return exchange{}, fmt.Errorf("reading a request: %w", err)
	}
	served := r.Clone(r.Context())
	served.Body = io.NopCloser(bytes.NewReader(sent))
	x := exchange{request: r.Clone(context.Background()), sent: sent, answer: httptest.NewRecorder()}
	handler.ServeHTTP(x.answer, served)
	return x, nil
}

// fresh is the request with its body unread.
func (x exchange) fresh() *http.Request {
	r := x.request.Clone(context.Background())
	r.Body = io.NopCloser(bytes.NewReader(x.sent))
	return r
}

// requestFaults are the request's deviations from the description.
func (d *description) requestFaults(x exchange) []string {
	_, errs := d.validator.ValidateHttpRequestSync(x.fresh())
	return texts(errs)
}

// answerFaults are the answer's deviations from the description.
func (d *description) answerFaults(x exchange) []string {
	response := x.answer.Result()
	defer func() { _ = response.Body.Close() }()
	_, errs := d.validator.ValidateHttpResponse(x.fresh(), response)
	return texts(errs)
}

func texts(errs []*errors.ValidationError) []string {
	var all []string
	for _, e := range errs {
		text := e.Message + ": " + e.Reason
		for _, s := range e.SchemaValidationErrors {
			text += "; " + s.Reason + " at " + s.FieldPath
		}
		all = append(all, text)
	}
	return all
}
