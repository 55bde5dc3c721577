package handler_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/audit"
	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/handler"
)

// instantly is a Dwolla without cost.
type instantly struct{ token clienttoken.Token }

func (d instantly) CreateClientToken(context.Context, clienttoken.Grant) (clienttoken.Token, error) {
	return d.token, nil
}

func (d instantly) ListBeneficialOwners(context.Context, clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error) {
	return nil, nil
}

// sink is an http.ResponseWriter without cost.
type sink struct {
	header http.Header
	status int
}

func (p *sink) Header() http.Header         { return p.header }
func (p *sink) WriteHeader(status int)      { p.status = status }
func (p *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkVend measures the service's own work for a request with a cached
// bearer token.
func BenchmarkVend(b *testing.B) {
	root, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		b.Fatal(err)
	}
	policy, err := clienttoken.ParsePolicy([]string{"dwolla-customer-update"})
	if err != nil {
		b.Fatal(err)
	}
	idp := identityProvider(b)
	token := idp.Bearer(alice)
	keys := httptest.NewServer(idp)
	b.Cleanup(keys.Close)
	registry, logger := prometheus.NewRegistry(), zerolog.New(io.Discard)
	h, err := handler.New(handler.Config{
		Now:         time.Now,
		Environment: clienttoken.Sandbox,
		Vendor: &clienttoken.Vendor{
			API: root, Policy: policy, Directory: customer.NewDirectory(customer.DirectoryConfig{
				Source: customer.Claim{API: root, Name: "dwolla_customer"}, Registerer: registry,
			}),
			Dwolla: instantly{clienttoken.Token{Secret: clienttoken.NewSecret("4adF858jPeQ9RnojMHdqSD2KwsvmhO7Ti7cI5woOiBGCpH5krY"), DwollaRequestID: "0b1c"}},
		},
		Auth: auth.NewChain(registry, auth.NewBearer(auth.BearerConfig{
			Claims: []string{"name", "email", "dwolla_customer"},
			Issuer: issuer, Audience: audience, UserClaim: "sub",
			Keys: auth.NewKeySet(auth.KeySetConfig{Issuer: issuer, URL: keys.URL + "/keys", Transport: http.DefaultTransport, Logger: logger, Registerer: registry}),
		})),
		Audit: audit.NewTrail(&auditSink{to: io.Discard}, registry), Logger: logger, Registerer: registry,
	})
	if err != nil {
		b.Fatal(err)
	}
	const content = `{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/` + alicesID + `"}}}`
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://dropgate.example/client-tokens", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	sent, answer := strings.NewReader(content), &sink{header: http.Header{}}
	r.Body = io.NopCloser(sent)
	vend := func() {
		sent.Reset(content)
		clear(answer.header)
		h.ServeHTTP(answer, r)
		if answer.status != http.StatusOK {
			b.Fatalf("answer %d", answer.status)
		}
	}
	vend()
	b.ReportAllocs()
	for b.Loop() {
		vend()
	}
}
