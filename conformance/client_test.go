package conformance_test

import (
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla"
	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// listener keeps all exchanges of a server.
type listener struct {
	mu        sync.Mutex
	exchanges []exchange
	errs      []error
}

func (l *listener) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, err := record(next, r)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil {
			l.errs = append(l.errs, err)
			return
		}
		l.exchanges = append(l.exchanges, x)
		maps.Copy(w.Header(), x.answer.Header())
		w.WriteHeader(x.answer.Code)
		if _, err := w.Write(x.answer.Body.Bytes()); err != nil {
			l.errs = append(l.errs, err)
		}
	})
}

func TestTheClientFollowsTheDescription(t *testing.T) {
	j := &judge{read(t), t, clientDifferences()}
	server := dwollatest.New(t, emulator.Options{})
	var heard listener
	server.Intercept(heard.before)
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := dwolla.New(dwolla.Config{
		API: api, ClientID: dwollatest.ClientID, ClientSecret: clienttoken.NewSecret(dwollatest.ClientSecret),
		Timeout: time.Minute, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	t.Cleanup(client.Close)
	makeEveryCall(t, client, api, server)

	heard.mu.Lock()
	defer heard.mu.Unlock()
	if len(heard.errs) > 0 {
		t.Fatal(heard.errs)
	}
	seen := map[string]bool{}
	for _, x := range heard.exchanges {
		op, described := j.find(x.request)
		if !described {
			t.Errorf("%s %s is not described", x.request.Method, x.request.URL.Path)
			continue
		}
		seen[op.String()] = true
		j.request(x)
		j.answer(x)
	}
	for _, op := range []string{"POST /token", "POST /client-tokens", "GET /customers/{id}", "GET /customers/{id}/beneficial-owners"} {
		if !seen[op] {
			t.Errorf("%s was not judged", op)
		}
	}
	j.wantAllSeen()
}

// makeEveryCall makes the client call every operation of Dwolla.
func makeEveryCall(t *testing.T, client *dwolla.Client, api clienttoken.API, server *dwollatest.Server) {
	t.Helper()
	id := server.Customer(emulator.Customer{Type: "business"}).ID
	customer, err := clienttoken.ParseCustomerID(api, id)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := clienttoken.ParseBeneficialOwnerID(api, server.BeneficialOwner(id))
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range []clienttoken.Grant{
		{Action: "customer.create"},
		{Action: "customer.read", Customer: customer},
		{Action: "beneficialowners.read", BeneficialOwner: owner},
		{Action: "beneficialowners.update", Customer: customer, BeneficialOwner: owner},
	} {
		if _, err := client.CreateClientToken(t.Context(), grant); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.GetCustomer(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ListBeneficialOwners(t.Context(), customer); err != nil {
		t.Fatal(err)
	}
}
