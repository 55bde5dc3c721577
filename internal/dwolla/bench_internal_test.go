package dwolla

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
)

// atOnce is a transport that answers without any cost.
type atOnce struct{}

func (atOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(`{"token":"t","access_token":"at","token_type":"Bearer","expires_in":3599}`)),
	}, nil
}

// BenchmarkCreateClientToken measures a call without the network, on one processor
// and on all.
func BenchmarkCreateClientToken(b *testing.B) {
	api, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
	if err != nil {
		b.Fatal(err)
	}
	c := newClient(Config{
		API: api, ClientID: "key", ClientSecret: clienttoken.NewSecret("secret"), Timeout: 5 * time.Second,
		MaxConcurrent: 256, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	}, atOnce{})
	defer c.Close()
	vend := func() {
		if _, err := c.CreateClientToken(b.Context(), clienttoken.Grant{Action: clienttoken.ActionCustomerCreate}); err != nil {
			b.Error(err)
		}
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			vend()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				vend()
			}
		})
	})
}
