package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"dropgate/internal/auth/provider"
	"dropgate/internal/clienttoken"
)

// demo is the API of the demo page. Only the page may use it: see [front]. With a
// service elsewhere, policy, hub and provider are nil: the page cannot change the
// service's policy, read its log or make users.
type demo struct {
	roster   *roster
	policy   *policySwitch
	faults   *faults
	attacks  *attacks
	hub      *hub
	provider *provider.Provider
	entries  operator
}

// inside reports whether the service runs in this process.
func (d *demo) inside() bool { return d.policy != nil }

func (d *demo) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /demo/state", d.serveState)
	mux.HandleFunc("POST /demo/attack/{name}", d.attacks.serve)
	if !d.inside() {
		return
	}
	mux.Handle("GET /demo/events", d.hub)
	mux.HandleFunc("POST /demo/policy", d.servePolicy)
	mux.HandleFunc("POST /demo/fault", d.serveFault)
	mux.HandleFunc("POST /demo/new-user", d.serveNewUser)
}

// state is the page's data about a user and the sandbox.
type state struct {
	User     string               `json:"user,omitempty"`
	Personas []persona            `json:"personas"`
	Policy   policyName           `json:"policy,omitempty"`
	Rule     string               `json:"rule,omitempty"`
	Allowed  []clienttoken.Action `json:"allowed"`
	Entry    json.RawMessage      `json:"entry"` // of the directory; null: the user has no Customer
	Fault    faultName            `json:"fault"`
	Faults   []faultName          `json:"faults"` // empty with Dwolla's own sandbox
}

func (d *demo) serveState(w http.ResponseWriter, r *http.Request) {
	s := state{
		Personas: d.roster.list(), Allowed: []clienttoken.Action{}, Entry: json.RawMessage("null"),
		Fault: d.faults.now(), Faults: d.faults.choices(),
	}
	if user := r.FormValue("user"); d.roster.has(user) {
		s.User = user
		if d.inside() {
			allowed := d.policy.of(user).allowed()
			s.Policy, s.Rule, s.Allowed = d.policy.of(user), allowed.Rule, allowed.Actions()
		}
		entry, err := d.entries.read(r.Context(), user)
		if err != nil {
			refuse(w, http.StatusBadGateway, "UpstreamError", "The directory does not answer: "+err.Error())
			return
		}
		s.Entry = entry
	}
	respond(w, http.StatusOK, s)
}

func (d *demo) servePolicy(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		User   string     `json:"user"`
		Policy policyName `json:"policy"`
	}
	if !decode(w, r, &asked) {
		return
	}
	if err := d.policy.set(asked.User, asked.Policy); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	respond(w, http.StatusOK, asked)
}

func (d *demo) serveFault(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Fault faultName `json:"fault"`
	}
	if !decode(w, r, &asked) {
		return
	}
	if err := d.faults.set(asked.Fault); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	respond(w, http.StatusOK, asked)
}

// serveNewUser makes a user without a Customer.
func (d *demo) serveNewUser(w http.ResponseWriter, _ *http.Request) {
	made, err := d.roster.add(d.provider)
	if err != nil {
		refuse(w, http.StatusTooManyRequests, "TooManyRequests", err.Error())
		return
	}
	d.policy.add(made.User)
	respond(w, http.StatusCreated, made)
}

// decode reads a small JSON object, or writes an error.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if r.Header.Get("Content-Type") != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "Send application/json.")
		return false
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", "The body is not the JSON object that belongs here.")
		return false
	}
	return true
}

// operator uses the service's directory as an operator would.
type operator struct {
	admin string // URL of the admin listener
	token clienttoken.Secret
}

// read returns the directory's entry for a user, or null.
func (o operator) read(ctx context.Context, user string) (json.RawMessage, error) {
	return o.do(ctx, http.MethodGet, user, nil)
}

// link links a user to a Customer, if that is not so already.
func (o operator) link(ctx context.Context, user, customer string) error {
	body, err := json.Marshal(map[string]string{"customer": customer})
	if err != nil {
		return fmt.Errorf("asking the directory: %w", err)
	}
	_, err = o.do(ctx, http.MethodPut, user, body)
	return err
}

func (o operator) do(ctx context.Context, method, user string, body []byte) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	at := o.admin + "/customers/" + url.PathEscape(user)
	r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body)) //nolint:gosec // the user is on the roster, the host our own
	if err != nil {
		return nil, fmt.Errorf("asking the directory: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+o.token.Reveal())
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r) //nolint:gosec // likewise
	if err != nil {
		return nil, fmt.Errorf("asking the directory: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var entry json.RawMessage
	switch {
	case resp.StatusCode == http.StatusOK:
		err = json.NewDecoder(resp.Body).Decode(&entry)
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		entry = json.RawMessage("null")
	default:
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		err = fmt.Errorf("%s answered %d: %s", o.admin, resp.StatusCode, why)
	}
	return entry, err
}
