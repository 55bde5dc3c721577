package handler

import (
	"net/http"
	"time"

	"dropgate/internal/clienttoken"
)

type sessionResponse struct {
	User        sessionUser             `json:"user"`
	Customer    *sessionCustomer        `json:"customer"` // null if the user has none
	Environment clienttoken.Environment `json:"environment"`
	Actions     []clienttoken.Action    `json:"actions"`
	Components  []clienttoken.Component `json:"components"`
	// CorrelationID belongs on the user's new Customer. It is empty if the user
	// has one.
	CorrelationID string     `json:"correlationId,omitempty"`
	ExpiresAt     *time.Time `json:"expiresAt,omitempty"`
}

type sessionUser struct {
	ID    string `json:"id"`
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
}

type sessionCustomer struct {
	ID     string                     `json:"id"`
	Href   string                     `json:"href"`
	Status clienttoken.CustomerStatus `json:"status,omitempty"` // empty if unknown
}

func newSessionCustomer(c clienttoken.Customer) *sessionCustomer {
	return &sessionCustomer{ID: c.URL.ID(), Href: c.URL.String(), Status: c.Status}
}

// session is GET /session: the user, and the setup of the page's drop-in
// components. Authentication extends no session for GET.
func (h *handler) session(w http.ResponseWriter, r *http.Request) error {
	session, err := h.signedIn(w, r)
	if err != nil {
		return err
	}
	setup, err := h.Vendor.Setup(r.Context(), session.User)
	if err != nil {
		return err
	}
	requestLogOf(r).customer = setup.Customer.URL.ID()

	name, _ := session.User.Claims["name"].(string)
	email, _ := session.User.Claims["email"].(string)
	answer := sessionResponse{
		User:          sessionUser{ID: session.User.ID, Name: name, Email: email},
		Environment:   h.Environment,
		Actions:       setup.Actions,
		Components:    setup.Components,
		CorrelationID: setup.CorrelationID,
	}
	if !setup.Customer.URL.IsZero() {
		answer.Customer = newSessionCustomer(setup.Customer)
	}
	if !session.Expires.IsZero() {
		expires := session.Expires.UTC()
		answer.ExpiresAt = &expires
	}
	return writeJSON(w, http.StatusOK, answer)
}

// keepAlive is POST /session: the response of GET /session, after the session's idle
// time has started again. A body would mean that the page wants something else, such
// as a client token, so it is refused before it has an effect.
func (h *handler) keepAlive(w http.ResponseWriter, r *http.Request) error {
	fault := requireEmptyBody(r)
	if fault == nil {
		return h.session(w, r)
	}
	if err := requestLogOf(r).charge.Pay(r.Context(), ""); err != nil {
		return err
	}
	return fault
}

// linkCustomer is PUT /session/customer: a page links the Customer that a drop-in
// component has just created. The response is the Customer.
func (h *handler) linkCustomer(w http.ResponseWriter, r *http.Request) error {
	session, err := h.signedIn(w, r)
	if err != nil {
		return err
	}
	named, err := decode[halLink](w, r)
	if err != nil {
		return err
	}
	if err := h.validate.StructCtx(r.Context(), named); err != nil {
		return memberProblem(err)
	}
	linked, err := h.Vendor.LinkCustomer(r.Context(), session.User, named.Href, requestLogOf(r).cause)
	requestLogOf(r).customer, requestLogOf(r).enrolled = linked.URL.ID(), linked.Enrolled
	if err == nil && session.Over() {
		err = session.Ended()
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newSessionCustomer(linked.Customer))
}
