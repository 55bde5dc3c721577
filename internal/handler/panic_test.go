package handler_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/auth"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/handler"
)

// panicking is a user: the directory panics on lookup.
const panicking = "panicking"

// everyKindOfUser is a directory with an answer of each kind.
func everyKindOfUser(s *setup) {
	s.directory = func(api clienttoken.API) customer.Source {
		return directoryFunc(func(_ context.Context, user clienttoken.User) (clienttoken.CustomerURL, error) {
			switch user.ID {
			case alice:
				return clienttoken.ParseCustomerID(api, alicesID)
			case panicking:
				panic("the directory panics")
			case mallory:
				return clienttoken.CustomerURL{}, &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("down")}
			default:
				return clienttoken.CustomerURL{}, clienttoken.ErrNoCustomer
			}
		})
	}
}

func TestPanicBecomesServerError(t *testing.T) {
	w := newWorld(t, everyKindOfUser)
	for _, ask := range []func() answer{
		func() answer { return w.vend(t, panicking, `{"action":"customer.read"}`) },
		func() answer { return w.get(t, panicking, "/session") },
	} {
		mark := w.logs.mark()
		a := ask()
		a.refused(t, http.StatusInternalServerError, "ServerError")
		if strings.Contains(a.body, "directory") || strings.Contains(a.body, ".go") {
			t.Errorf("the response shows the panic: %s", a.body)
		}
		errs := slices.DeleteFunc(w.logs.since(mark, ""), func(l line) bool { return l.text("level") != "error" || l.text("log") == "access" })
		if len(errs) != 1 {
			t.Fatalf("%d lines beside the access line, want 1: %v", len(errs), errs)
		}
		errs[0].has(t, line{"level": "error", "request_id": a.problem.RequestID, "panic": "the directory panics"})
		if stack := errs[0].text("stack"); !strings.Contains(stack, "panic_test.go") {
			t.Errorf("the stack does not show where: %s", stack)
		}
	}
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.vended(t, w.filled(sentRead))
}

func TestPanicDoesNotShowASecret(t *testing.T) {
	const hidden = "a secret of fifty letters and digits 0123456789"
	w := newWorld(t, directory(func(context.Context, clienttoken.User) (clienttoken.CustomerURL, error) {
		panic(fmt.Errorf("token %v: %w", clienttoken.NewSecret(hidden), errors.New("lost")))
	}))
	w.tokens.add(hidden)
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.refused(t, http.StatusInternalServerError, "ServerError")
}

func TestUnknownErrorIsNotShown(t *testing.T) {
	w := newWorld(t, directory(func(context.Context, clienttoken.User) (clienttoken.CustomerURL, error) {
		return clienttoken.CustomerURL{}, errors.New("row 7 of table links")
	}))
	a := w.vend(t, alice, `{"action":"customer.read"}`)
	a.refused(t, http.StatusInternalServerError, "ServerError")
	if strings.Contains(a.body, "row 7") || !strings.Contains(a.audit.text("reason"), "row 7") {
		t.Errorf("the answer is %s, the reason %q", a.body, a.audit["reason"])
	}
}

func TestAbortedConnectionIsLoggedAndVendsNothing(t *testing.T) {
	w := newWorld(t, directory(func(context.Context, clienttoken.User) (clienttoken.CustomerURL, error) {
		panic(http.ErrAbortHandler)
	}))
	mark := w.logs.mark()
	resp, err := w.client.Do(w.request(alice, http.MethodPost, "/client-tokens", body(`{"action":"customer.read"}`)))
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("answer %s, want a cut connection", resp.Status)
	}
	accessLineOf(t, w.logs.await(t, mark, "access")).has(t, accessLine{Status: 500, Code: "ServerError", User: alice})
	w.logs.await(t, mark, "audit").has(t, line{"outcome": "ServerError", "user": alice, "token_sha256_prefix": ""})
	for _, l := range w.logs.since(mark, "") {
		if l.text("level") == "error" {
			t.Errorf("it is an error in the log: %v", l)
		}
	}
	if series := w.series(); series[`dropgate_client_tokens_total{action="customer.read",outcome="vended"}`] != "" || series[`dropgate_client_tokens_total{action="unknown",outcome="ServerError"}`] != "1" {
		t.Error("the metrics count a vended token")
	}
}

// TestSilentDirectoryIsAnOutage waits for as long as a request may
// take, in no time.
func TestSilentDirectoryIsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, err := clienttoken.NewAPI(clienttoken.Sandbox, "")
		if err != nil {
			t.Fatal(err)
		}
		policy, err := clienttoken.ParsePolicy([]string{"customer.read"})
		if err != nil {
			t.Fatal(err)
		}
		never := directoryFunc(func(ctx context.Context, _ clienttoken.User) (clienttoken.CustomerURL, error) {
			<-ctx.Done()
			return clienttoken.CustomerURL{}, fmt.Errorf("waiting for the store: %w", ctx.Err())
		})
		registry := prometheus.NewRegistry()
		h, err := handler.New(handler.Config{
			Now:         time.Now,
			Environment: clienttoken.Sandbox, Registerer: registry, Auth: auth.NewChain(registry, anybody{}),
			Vendor: &clienttoken.Vendor{API: root, Policy: policy, Directory: customer.NewDirectory(customer.DirectoryConfig{Source: never, Registerer: registry})},
		})
		if err != nil {
			t.Fatal(err)
		}
		for path, method := range map[string]string{"/client-tokens": http.MethodPost, "/session": http.MethodGet} {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(`{"action":"customer.read"}`))
			r.Header.Set("Content-Type", "application/json")
			start, got := time.Now(), httptest.NewRecorder()
			h.ServeHTTP(got, r)
			if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
				t.Errorf("%s: answer %d %s", path, got.Code, got.Body)
			}
			if took := time.Since(start); took != 25*time.Second {
				t.Errorf("%s: it took %v", path, took)
			}
		}
	})
}
