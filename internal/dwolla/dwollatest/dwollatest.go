// Package dwollatest starts the Dwolla emulator for a test, on 127.0.0.1, and
// stops it when the test ends. It makes Customers, sends webhooks, holds
// requests, and records the requests and the secrets it has seen.
//
// It is for tests only. It does not import the client, so that a test of the
// client gets an independent opinion.
package dwollatest

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// Defaults for the options, and the secret of [Server.SendWebhooks].
const (
	ClientID      = "the key"
	ClientSecret  = "the secret: +%/ü of the application" //nolint:gosec // made up; escaping it wrongly fails the test
	WebhookSecret = "the-very-secret-of-the-webhooks"
)

// Server is a running emulator. It is safe for concurrent use. Its methods fail
// the test on an error.
type Server struct {
	*emulator.Emulator

	URL string // for DWOLLA_BASE_URL

	tb     testing.TB
	server *httptest.Server

	mu       sync.Mutex
	handler  http.Handler // the emulator, and what Intercept has put before it
	requests []Request
	secrets  map[string]bool
	holds    map[string]*hold // by path
}

// New starts an emulator. Without a ClientID and a ClientSecret in the options it
// has those of this package.
func New(tb testing.TB, o emulator.Options) *Server {
	tb.Helper()
	if o.ClientID == "" && o.ClientSecret == "" {
		o.ClientID, o.ClientSecret = ClientID, ClientSecret
	}
	e := emulator.New(o)
	s := &Server{
		Emulator: e, tb: tb, handler: e,
		secrets: map[string]bool{},
		holds:   map[string]*hold{},
	}
	s.addSecret(o.ClientSecret)
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	tb.Cleanup(func() {
		s.StopListening()
		e.Close()
	})
	return s
}

// StopListening cuts all connections and refuses new ones, to the end of the
// test.
func (s *Server) StopListening() {
	s.releaseAll() // first, because Close waits for requests under way
	s.server.CloseClientConnections()
	s.server.Close()
}

// ServeHTTP records a request, holds it if it should, and answers it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.record(r) || !s.wait(r) {
		return
	}
	s.mu.Lock()
	h := s.handler
	s.mu.Unlock()
	h.ServeHTTP(w, r)
}

// Intercept puts a handler before the emulator, from the next request on. wrap
// gets the present handler, and may pass requests on to it.
func (s *Server) Intercept(wrap func(next http.Handler) http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handler = wrap(s.handler)
}

// Customer adds a Customer, as [emulator.Emulator.AddCustomer] does.
func (s *Server) Customer(c emulator.Customer) emulator.Customer {
	s.tb.Helper()
	added, err := s.AddCustomer(c)
	if err != nil {
		s.tb.Fatal(err)
	}
	return added
}

// BeneficialOwner adds a beneficial owner to a Customer and returns the owner's
// id.
func (s *Server) BeneficialOwner(customerID string) string {
	s.tb.Helper()
	id, err := s.AddBeneficialOwner(customerID)
	if err != nil {
		s.tb.Fatal(err)
	}
	return id
}

// FundingSource adds a funding source to a Customer, as
// [emulator.Emulator.AddFundingSource] does.
func (s *Server) FundingSource(customerID string, f emulator.FundingSource) emulator.FundingSource {
	s.tb.Helper()
	added, err := s.AddFundingSource(customerID, f)
	if err != nil {
		s.tb.Fatal(err)
	}
	return added
}

// SetStatus changes a Customer's status, and sends the webhook for it.
func (s *Server) SetStatus(customerID, status string) {
	s.tb.Helper()
	if err := s.SetCustomerStatus(customerID, status); err != nil {
		s.tb.Fatal(err)
	}
}

// SendWebhooks subscribes a URL to the webhooks, signed with WebhookSecret.
func (s *Server) SendWebhooks(to string) {
	s.tb.Helper()
	if err := s.Subscribe(to, WebhookSecret); err != nil {
		s.tb.Fatal(err)
	}
}
