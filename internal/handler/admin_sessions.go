package handler

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"dropgate/internal/audit"
	"dropgate/internal/auth/session"
	"dropgate/internal/clienttoken"
)

// Sessions are the sessions of users, as operators see and end them. An error is a
// *clienttoken.Failure, or that of ctx. Unknown users and handles are no errors.
type Sessions interface {
	ListSessions(ctx context.Context, userID string) ([]session.Listed, error)
	EndSessions(ctx context.Context, userID string) (int, error)
	EndSession(ctx context.Context, handle session.Handle) (int, error)
}

// sessions adds the routes about sessions. Without the mode oidc they say so.
func (c AdminConfig) sessions(h *handler, r chi.Router) {
	around := r.With(h.withRequestLog, securityHeaders, h.recoverPanic)
	list, endAll, endOne := h.listSessions(c), endSessions(c.Sessions), endSession(c.Sessions)
	if c.Sessions == nil {
		list, endAll, endOne = noSessions, noSessions, noSessions
	}
	around.With(auditedAs(audit.Sessions)).Get("/sessions", h.requireOperator(c.Operators, list))
	around.With(auditedAs(audit.SignOut)).Delete("/sessions", h.requireOperator(c.Operators, endAll))
	around.With(auditedAs(audit.SignOut)).Delete("/sessions/{id}", h.requireOperator(c.Operators, endOne))
}

func noSessions(http.ResponseWriter, *http.Request) error {
	return &problem{code: notFound, message: "This service keeps no sessions: AUTH_MODES has no oidc.", reason: "no mode oidc"}
}

type sessionsResponse struct {
	Store    string           `json:"store"` // "redis", or "memory" of this replica alone
	Sessions []listedResponse `json:"sessions"`
	More     bool             `json:"more,omitempty"` // there may be further sessions
}

type listedResponse struct {
	ID         string    `json:"id"` // the handle
	User       string    `json:"user"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	IdleEndsAt time.Time `json:"idleEndsAt"` // unless used before
	EndsAt     time.Time `json:"endsAt"`     // at the latest
}

func newListedResponse(s session.Listed) listedResponse {
	return listedResponse{
		ID: s.Handle.String(), User: s.UserID, StartedAt: s.Started.UTC(), LastUsedAt: s.Used.UTC(),
		IdleEndsAt: s.Expires.UTC(), EndsAt: s.Deadline.UTC(),
	}
}

// listSessions is GET /sessions?user=… of the admin listener.
func (h *handler) listSessions(c AdminConfig) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := validQueryUser(r)
		if err != nil {
			return err
		}
		found, err := c.Sessions.ListSessions(r.Context(), user)
		if err != nil {
			return err
		}
		answer := sessionsResponse{Store: c.SessionStore, Sessions: make([]listedResponse, 0, len(found)), More: len(found) == session.MaxListed}
		for _, s := range found {
			answer.Sessions = append(answer.Sessions, newListedResponse(s))
		}
		requestLogOf(r).reason = fmt.Sprintf("%d sessions", len(found))
		if err := h.writeEntry(r); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}

type endedResponse struct {
	Ended int `json:"ended"`
}

// endSessions is DELETE /sessions?user=… of the admin listener.
func endSessions(sessions Sessions) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := validQueryUser(r)
		if err != nil {
			return err
		}
		ended, err := sessions.EndSessions(withCause(r), user)
		return writeEnded(w, r, ended, err)
	}
}

// endSession is DELETE /sessions/{id} of the admin listener.
func endSession(sessions Sessions) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		handle, ok := session.ParseHandle(chi.URLParam(r, "id"))
		if !ok {
			return &problem{code: clienttoken.BadRequest, message: "The path does not end with an id that GET /sessions has shown.", reason: "no handle"}
		}
		ended, err := sessions.EndSession(withCause(r), handle)
		return writeEnded(w, r, ended, err)
	}
}

func writeEnded(w http.ResponseWriter, r *http.Request, ended int, err error) error {
	if err != nil {
		return err
	}
	requestLogOf(r).reason = fmt.Sprintf("%d sessions", ended)
	return writeJSON(w, http.StatusOK, endedResponse{ended})
}

// validQueryUser returns the only parameter of the query, user, which must be a valid
// user id. A misspelled parameter must not select something else.
func validQueryUser(r *http.Request) (string, error) {
	query := r.URL.Query()
	if len(query) != 1 || len(query["user"]) != 1 {
		return "", &problem{code: clienttoken.BadRequest, message: "The query must be user=, with the id of one user.", reason: "not exactly the parameter user"}
	}
	user := query.Get("user")
	if err := clienttoken.CheckUserID(user); err != nil {
		return "", &problem{code: clienttoken.BadRequest, message: "The query does not name a user: " + err.Error() + ".", reason: err.Error()}
	}
	requestLogOf(r).user = user
	return user, nil
}
