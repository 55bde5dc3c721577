package emulator_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/dwolla/dwollatest"
	"dropgate/internal/dwolla/emulator"
)

const (
	hal     = "application/vnd.dwolla.v1.hal+json"
	key     = dwollatest.ClientID
	secret  = dwollatest.ClientSecret
	form    = "application/x-www-form-urlencoded"
	grant   = "grant_type=client_credentials"
	unknown = "00000000-0000-4000-8000-000000000000"
)

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// dwolla is an emulator. Most tests reach it through a real listener.
type dwolla struct {
	*emulator.Emulator

	t      *testing.T
	url    string
	client *http.Client
	clock  *clock
}

func start(t *testing.T) *dwolla {
	t.Helper()
	return startWith(t, emulator.Options{})
}

// startWith starts an emulator with a stopped clock.
func startWith(t *testing.T, o emulator.Options) *dwolla {
	t.Helper()
	c := &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	o.Now = c.Now
	s := dwollatest.New(t, o)
	return &dwolla{Emulator: s.Emulator, t: t, url: s.URL, client: &http.Client{Transport: http.DefaultTransport}, clock: c}
}

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
}

type problem struct {
	Code     string `json:"code"`
	Message  string `json:"message"`
	Embedded struct {
		Errors []struct{ Code, Message, Path string }
	} `json:"_embedded"`
}

// request is one API call; change the headers before sending it.
func (d *dwolla) request(token, method, path, body string) *http.Request {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Accept", hal)
	r.Header.Set("Authorization", "Bearer "+token)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (d *dwolla) send(r *http.Request) reply {
	d.t.Helper()
	response, err := d.client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{status: response.StatusCode, header: response.Header, body: body}
}

func (d *dwolla) call(token, method, path, body string) reply {
	d.t.Helper()
	return d.send(d.request(token, method, path, body))
}

// accessToken is a new one of the application.
func (d *dwolla) accessToken() string {
	d.t.Helper()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	d.send(d.tokenRequest()).decode(d.t, http.StatusOK, &answer)
	return answer.AccessToken
}

// vend is a new client token for a Customer, or for none.
func (d *dwolla) vend(action, customerID string) string {
	d.t.Helper()
	var answer struct{ Token string }
	d.call(d.accessToken(), http.MethodPost, "/client-tokens", d.vendBody(action, customerID)).decode(d.t, http.StatusOK, &answer)
	return answer.Token
}

func (d *dwolla) vendBody(action, customerID string) string {
	if customerID == "" {
		return `{"action":"` + action + `"}`
	}
	return `{"action":"` + action + `","_links":{"customer":{"href":"` + d.url + "/customers/" + customerID + `"}}}`
}

func (d *dwolla) customer(c emulator.Customer) emulator.Customer {
	d.t.Helper()
	added, err := d.AddCustomer(c)
	if err != nil {
		d.t.Fatal(err)
	}
	return added
}

func (r reply) decode(t *testing.T, status int, into any) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
}

// wantProblem checks an error: "Code", or "Code /path" of the embedded error
// of a ValidationError.
func (r reply) wantProblem(t *testing.T, status int, want string) {
	t.Helper()
	var p problem
	r.decode(t, status, &p)
	code, path, embedded := strings.Cut(want, " ")
	if embedded {
		if p.Code != "ValidationError" || len(p.Embedded.Errors) != 1 ||
			p.Embedded.Errors[0].Code != code || p.Embedded.Errors[0].Path != path {
			t.Errorf("got %s, want a ValidationError with only %s", r.body, want)
		}
	} else if p.Code != code {
		t.Errorf("got %s, want code %s", r.body, want)
	}
	if p.Message == "" {
		t.Error("no message")
	}
	if got := r.header.Get("Content-Type"); got != hal {
		t.Errorf("Content-Type %q", got)
	}
}
