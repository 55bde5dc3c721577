package dwollatest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

// token asks for an access token and returns it.
func token(ctx context.Context, s *dwollatest.Server) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(dwollatest.ClientID), url.QueryEscape(dwollatest.ClientSecret))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		AccessToken string `json:"access_token"`
	}
	return got.AccessToken, errors.Join(json.NewDecoder(resp.Body).Decode(&got), status(resp))
}

func status(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func TestServerRecordsRequestsAndSecrets(t *testing.T) {
	s := dwollatest.New(t, emulator.Options{})
	if _, err := token(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	want := dwollatest.Request{Method: http.MethodPost, Path: "/token", Body: "grant_type=client_credentials"}
	if got := s.TakeRequests(); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := s.TakeRequests(); len(got) != 0 {
		t.Errorf("got %v again", got)
	}
	for _, secret := range []string{dwollatest.ClientSecret, url.QueryEscape(dwollatest.ClientSecret)} {
		if !slices.Contains(s.Secrets(), secret) {
			t.Errorf("%q is not among the secrets %q", secret, s.Secrets())
		}
	}
}

func TestHoldKeepsRequestsUntilReleased(t *testing.T) {
	s := dwollatest.New(t, emulator.Options{})
	arrived, release := s.Hold("/token", 1)
	held := make(chan error, 1)
	go func() {
		_, err := token(t.Context(), s)
		held <- err
	}()
	<-arrived
	if _, err := token(t.Context(), s); err != nil { // the second one passes
		t.Fatal(err)
	}
	select {
	case err := <-held:
		t.Fatalf("answered before the release: %v", err)
	default:
	}
	release()
	if err := <-held; err != nil {
		t.Fatal(err)
	}
}

func TestHoldEndsWhenTheClientLeaves(t *testing.T) {
	s := dwollatest.New(t, emulator.Options{})
	arrived, _ := s.Hold("/token", 1)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-arrived
		leave()
	}()
	if _, err := token(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a canceled request", err)
	}
	if got := s.Calls(emulator.OpToken); got != 0 {
		t.Errorf("%d requests reached the emulator", got)
	}
}

func TestTestEndsWhileARequestIsHeld(t *testing.T) {
	ended := make(chan struct{})
	t.Run("", func(t *testing.T) {
		s := dwollatest.New(t, emulator.Options{})
		arrived, _ := s.Hold("/token", 1)
		go func() {
			defer close(ended)
			_, _ = token(context.Background(), s)
		}()
		<-arrived
	})
	<-ended
}

func TestStopListeningRefusesConnections(t *testing.T) {
	s := dwollatest.New(t, emulator.Options{})
	if _, err := token(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	s.StopListening()
	if _, err := token(t.Context(), s); err == nil {
		t.Error("a request is answered")
	}
}

func TestInterceptTakesRequests(t *testing.T) {
	s := dwollatest.New(t, emulator.Options{})
	s.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				_, _ = io.WriteString(w, `{"access_token":"intercepted"}`)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	if got, err := token(t.Context(), s); err != nil || got != "intercepted" {
		t.Errorf("got %q and %v", got, err)
	}
}

func TestWebhooksReachTheSubscriber(t *testing.T) {
	got := make(chan bool, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got <- r.Header.Get("X-Request-Signature-SHA-256") == emulator.Sign(dwollatest.WebhookSecret, string(body))
	}))
	t.Cleanup(service.Close)
	s := dwollatest.New(t, emulator.Options{})
	customer := s.Customer(emulator.Customer{Type: "business"})
	if s.BeneficialOwner(customer.ID) == "" {
		t.Error("the beneficial owner has no id")
	}
	s.SendWebhooks(service.URL)
	s.SetStatus(customer.ID, "suspended")
	if !<-got {
		t.Error("the webhook has another signature")
	}
}
