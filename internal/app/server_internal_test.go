package app

import (
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestServerGivesSlowAndLargeClientsTheirLimits(t *testing.T) {
	s, err := listen(t.Context(), "127.0.0.1:0", http.NotFoundHandler(), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.listener.Close() }()
	for name, limit := range map[string][2]time.Duration{
		"header": {s.http.ReadHeaderTimeout, 5 * time.Second},
		"read":   {s.http.ReadTimeout, 10 * time.Second},
		"write":  {s.http.WriteTimeout, 30 * time.Second},
		"idle":   {s.http.IdleTimeout, 120 * time.Second},
	} {
		if limit[0] != limit[1] {
			t.Errorf("%s timeout is %v, want %v", name, limit[0], limit[1])
		}
	}
	if s.http.MaxHeaderBytes != 16<<10 {
		t.Errorf("headers of %d bytes are read", s.http.MaxHeaderBytes)
	}
}
