package dwolla

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

// parallelServer answers with a token when as many requests as the barrier
// wants are there together, and counts the connections.
type parallelServer struct {
	*httptest.Server

	connections atomic.Int32
	oldHTTP     atomic.Int32 // requests that were not HTTP/2
	mu          sync.Mutex
	waiting     int
	want        int
	all         chan struct{}
}

func newParallelServer(t *testing.T, want int) *parallelServer {
	t.Helper()
	p := &parallelServer{want: want, all: make(chan struct{})}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.ProtoMajor != 2 {
			p.oldHTTP.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"access_token":"at","token_type":"Bearer","expires_in":3599}`)
			return
		}
		p.arrive(r.Context())
		_, _ = io.WriteString(w, `{"token":"t"}`)
	}))
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.connections.Add(1)
		}
	}
	t.Cleanup(p.Close)
	return p
}

// arrive waits until the others are there.
func (p *parallelServer) arrive(ctx context.Context) {
	p.mu.Lock()
	all := p.all
	p.waiting++
	if p.waiting == p.want {
		p.waiting, p.all = 0, make(chan struct{})
		close(all)
	}
	p.mu.Unlock()
	select {
	case <-all:
	case <-ctx.Done():
	}
}

func (p *parallelServer) client(t *testing.T) *Client {
	t.Helper()
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, p.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{
		API: api, ClientID: "key", ClientSecret: clienttoken.NewSecret("secret"), Timeout: 20 * time.Second, MaxConcurrent: p.want,
		Logger: zerolog.New(t.Output()), Registerer: prometheus.NewRegistry(),
	})
	t.Cleanup(c.Close)
	return c
}

// vendAll vends as many tokens at the same time as the server waits for.
func (p *parallelServer) vendAll(t *testing.T, c *Client) {
	t.Helper()
	var callers sync.WaitGroup
	for range p.want {
		callers.Go(func() {
			if _, err := c.CreateClientToken(t.Context(), clienttoken.Grant{Action: clienttoken.ActionCustomerCreate}); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
}

func TestParallelCallsReuseTheirConnectionsOverHTTP1(t *testing.T) {
	const parallel = 300
	p := newParallelServer(t, parallel)
	p.Start()
	c := p.client(t)
	for range 3 {
		p.vendAll(t, c)
	}
	// On a busy machine net/http may close a connection answered before the request
	// was fully sent. Without reuse there are 900.
	if n := p.connections.Load(); n > parallel*3/2 {
		t.Errorf("%d connections for %d parallel calls", n, parallel)
	}
}

func TestParallelCallsShareAFewConnectionsOverHTTP2(t *testing.T) {
	const parallel = 200
	p := newParallelServer(t, parallel)
	p.EnableHTTP2 = true
	p.StartTLS()
	c := p.client(t)
	trusted, ok := p.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the server's client has a %T", p.Client().Transport)
	}
	transport, ok := c.transport.(*http.Transport)
	if !ok {
		t.Fatalf("the client has a %T", c.transport)
	}
	transport.TLSClientConfig = trusted.TLSClientConfig.Clone() // the one change that a test needs
	transport.TLSClientConfig.NextProtos = nil                  // the transport asks for HTTP/2 by itself
	for range 3 {
		p.vendAll(t, c)
	}
	if n := p.oldHTTP.Load(); n != 0 {
		t.Errorf("%d requests were not HTTP/2", n)
	}
	if n := p.connections.Load(); n > 5 {
		t.Errorf("%d connections for %d parallel calls", n, parallel)
	}
}

func TestUntrustedServerGetsNoRequest(t *testing.T) {
	p := newParallelServer(t, 1)
	p.StartTLS()
	_, err := p.client(t).CreateClientToken(t.Context(), clienttoken.Grant{Action: clienttoken.ActionCustomerCreate})
	if err == nil || p.oldHTTP.Load() != 0 {
		t.Errorf("got %v after %d requests", err, p.oldHTTP.Load())
	}
}
