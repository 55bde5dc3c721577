package handler_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/api"
	"dropgate/internal/auth"
	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
)

const contractCustomer = "https://api-sandbox.dwolla.com/customers/11111111-1111-4111-8111-111111111111"

// contractWorld is a directory and a Dwolla that do what the name of the
// signed-in user says.
type contractWorld struct{ customer clienttoken.CustomerURL }

func (w contractWorld) Customer(_ context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
	switch user.ID {
	case "nobody":
		return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
	case "panic":
		panic("the directory panics")
	case "down":
		return clienttoken.CustomerURL{}, &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("down")}
	}
	return w.customer, nil
}

func (w contractWorld) CreateClientToken(_ context.Context, grant clienttoken.Grant) (clienttoken.Token, error) {
	failing := map[clienttoken.Action]clienttoken.Code{
		clienttoken.ActionCustomerUpdate:          clienttoken.UpstreamError,
		clienttoken.ActionCustomerDocumentsCreate: clienttoken.Unavailable,
		clienttoken.ActionCustomerDocumentsRead:   clienttoken.UpstreamTimeout,
	}
	if code, fails := failing[grant.Action]; fails {
		return clienttoken.Token{}, &clienttoken.Failure{Code: code, Err: errors.New("as told")}
	}
	return clienttoken.Token{Secret: clienttoken.NewSecret("a-client-token")}, nil
}

func (w contractWorld) ListBeneficialOwners(context.Context, clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error) {
	return nil, nil
}

// direct answers requests by a handler, without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

type contract struct {
	doc      *openapi3.T
	router   routers.Router
	routes   chi.Routes
	server   *httptest.Server
	provider *provider.Provider
}

func newContract(t *testing.T) contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	users := map[string]map[string]any{}
	for _, name := range []string{"alice", "nobody", "panic", "down"} {
		users[name] = map[string]any{"name": name, "email": name + "@example.com"}
	}
	idp, err := provider.New(provider.Options{Issuer: "https://idp.example.com", Audience: "dropgate", Users: users})
	if err != nil {
		t.Fatal(err)
	}
	root, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		t.Fatal(err)
	}
	customer, err := clienttoken.ParseCustomerURL(root, contractCustomer)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := clienttoken.ParsePolicy([]string{"dwolla-customer-update", "dwolla-document-upload", "customer.create"})
	if err != nil {
		t.Fatal(err)
	}
	world := contractWorld{customer}
	registry := prometheus.NewRegistry()
	h, err := handler.New(handler.Config{
		Environment: clienttoken.Sandbox,
		Vendor:      &clienttoken.Vendor{API: root, Policy: policy, Directory: world, Dwolla: world},
		Auth: auth.NewChain(registry, auth.NewBearer(auth.BearerConfig{
			Issuer: "https://idp.example.com", Audience: "dropgate", UserClaim: "sub",
			Keys: auth.NewKeySet(auth.KeySetConfig{
				Issuer: "https://idp.example.com", Transport: direct{idp}, Logger: zerolog.Nop(), Registerer: registry,
			}),
		})),
		OpenAPI:    api.OpenAPI,
		Logger:     zerolog.Nop(),
		Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	doc.Servers = openapi3.Servers{{URL: server.URL}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return contract{doc, router, h.(chi.Routes), server, idp} //nolint:errcheck // chi, by the project's own rules
}
