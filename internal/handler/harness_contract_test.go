package handler_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/api"
	"dropgate/internal/auth"
	"dropgate/internal/auth/oidctest"
	"dropgate/internal/auth/provider"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
	"dropgate/internal/ratelimit"
)

const contractCustomer = "https://api-sandbox.dwolla.com/customers/11111111-1111-4111-8111-111111111111"

// contractWorld is a directory and a Dwolla. They behave as the user's name says.
type contractWorld struct{ customer clienttoken.CustomerURL }

func (w contractWorld) Customer(_ context.Context, user clienttoken.User) (clienttoken.Customer, error) {
	switch user.ID {
	case "nobody", "hasty", "refused", "slow":
		return clienttoken.Customer{}, clienttoken.ErrNoCustomer
	case "suspended":
		return clienttoken.Customer{URL: w.customer, Status: clienttoken.StatusSuspended}, nil
	case "panic":
		panic("the directory panics")
	case "down":
		return clienttoken.Customer{}, &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("down")}
	}
	return clienttoken.Customer{URL: w.customer}, nil
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

func (w contractWorld) HasBeneficialOwner(context.Context, clienttoken.CustomerURL, clienttoken.BeneficialOwnerURL) (bool, error) {
	return false, nil
}

type contract struct {
	doc      *openapi3.T
	router   routers.Router
	routes   chi.Routes
	server   *httptest.Server
	provider *oidctest.Provider
	store    *faulty
	limit    ratelimit.Limit // per address, for services started from now on
	// Services like the first one. The first cannot reach its provider, the
	// second panics because it has no parts, and the third has used up its rate
	// limit.
	alone, broken, hammered *httptest.Server
}

const contractIssuer = "https://idp.example.com"

// unreachable is a failing network.
type unreachable struct{}

func (unreachable) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no network")
}

func newContract(t *testing.T) contract {
	t.Helper()
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/javascript", openapi3filter.PlainBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	users := map[string]map[string]any{}
	for _, name := range []string{"alice", "nobody", "panic", "down", "hasty", "refused", "slow", "suspended"} {
		users[name] = map[string]any{"name": name, "email": name + "@example.com"}
	}
	idp := oidctest.New(t, provider.Options{Issuer: contractIssuer, Users: users})
	c := contract{doc: doc, provider: idp, store: &faulty{
		Store: session.NewMemory(session.Limits{Idle: idle, Lifetime: lifetime, Now: time.Now}),
	}}
	var h http.Handler
	c.server, h = c.serve(t, func(o auth.OIDCConfig) *auth.OIDC {
		idp.AddClient(oidctest.Client(o.Origin))
		return auth.NewOIDC(o)
	})
	c.routes, _ = h.(chi.Routes)
	c.alone, _ = c.serve(t, func(o auth.OIDCConfig) *auth.OIDC {
		o.Transport = unreachable{}
		o.Keys = auth.NewKeySet(auth.KeySetConfig{
			Issuer: contractIssuer, Transport: o.Transport, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
		})
		return auth.NewOIDC(o)
	})
	c.broken, _ = c.serve(t, func(auth.OIDCConfig) *auth.OIDC { return &auth.OIDC{} })
	c.limit = ratelimit.Limit{N: 9, Window: time.Hour}
	c.hammered, _ = c.serve(t, auth.NewOIDC)
	for range 9 {
		c.open(t, c.visitor(t), c.hammered.URL+"/auth/login")
	}
	doc.Servers = openapi3.Servers{{URL: c.server.URL}}
	if c.router, err = gorillamux.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// serve starts a service.
func (c contract) serve(t *testing.T, oidc func(auth.OIDCConfig) *auth.OIDC) (*httptest.Server, http.Handler) {
	t.Helper()
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
	keys := auth.NewKeySet(auth.KeySetConfig{
		Issuer: contractIssuer, Transport: c.provider.Transport(), Logger: zerolog.Nop(), Registerer: registry,
	})
	server := httptest.NewUnstartedServer(nil)
	mode := oidc(auth.OIDCConfig{
		PassParameters: []string{"login_hint"},
		Claims:         []string{"name", "email", "dwolla_customer"},
		Issuer:         contractIssuer, ClientID: oidcClient, ClientSecret: clienttoken.NewSecret(oidcSecret),
		Scopes: []string{"openid"}, UserClaim: "sub", Origin: "http://" + server.Listener.Addr().String(),
		SameSite: http.SameSiteStrictMode, Sessions: c.store, Keys: keys, Transport: c.provider.Transport(), Registerer: registry,
	})
	h, err := handler.New(handler.Config{
		Now:         time.Now,
		Environment: clienttoken.Sandbox,
		Vendor:      &clienttoken.Vendor{API: root, Policy: policy, Directory: world, Dwolla: world, Enrollment: contractEnrollment{}},
		Auth: auth.NewChain(registry, auth.NewBearer(auth.BearerConfig{
			Claims: []string{"name", "email", "dwolla_customer"},
			Issuer: contractIssuer, Audience: "dropgate", UserClaim: "sub", Keys: keys,
		}), mode),
		OIDC:     mode,
		Webhooks: contractWebhooks{},
		Limits: ratelimit.New(ratelimit.Config{
			IP: c.limit, Now: time.Now, Logger: zerolog.Nop(), Registerer: registry,
		}),
		OpenAPI: api.OpenAPI, Script: api.Script, ScriptTypes: api.ScriptTypes,
		Logger:     zerolog.Nop(),
		Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = h
	server.Start()
	t.Cleanup(server.Close)
	return server, h
}
