package app_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"dropgate/internal/app"
	"dropgate/internal/clienttoken"
)

func TestEmbeddedPolicyReplacesAllowedActions(t *testing.T) {
	w := newFixture(t)
	config, err := app.Load(environ(w.settings))
	if err != nil {
		t.Fatal(err)
	}
	if config.Policy, err = clienttoken.ParsePolicy([]string{"customer.update"}); err != nil {
		t.Fatal(err)
	}
	a, err := app.Open(t.Context(), config, app.Build{Version: "test"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, ctx) }()
	s := &service{App: a, fixture: w}
	for action, want := range map[string]int{"customer.update": http.StatusOK, "customer.read": http.StatusForbidden} {
		if got := s.vend(t, "alice", `{"action":"`+action+`"}`); got.status != want {
			t.Errorf("%s: %d %s, want %d", action, got.status, got.body, want)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
