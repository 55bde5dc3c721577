package handler

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"dropgate/internal/clienttoken"
)

// LinkReader tells whose Customer is whose. An error that is not the caller's
// own cancellation is a *clienttoken.Failure.
type LinkReader interface {
	// Find returns the user's link, or clienttoken.ErrNoCustomer.
	Find(ctx context.Context, userID string) (clienttoken.Link, error)
	// List returns at most limit links of the users after one, in an order of
	// its own. The first users come after "".
	List(ctx context.Context, after string, limit int) ([]clienttoken.Link, error)
}

// LinkWriter changes whose Customer is whose, on the word of an operator. It
// returns a *clienttoken.Refusal for a user or a Customer that is linked
// otherwise, and else errors as LinkReader does. Both methods may be called
// again.
type LinkWriter interface {
	Link(ctx context.Context, userID string, customer clienttoken.CustomerURL) error
	Unlink(ctx context.Context, userID string) error
}

type linkResponse struct {
	User     string           `json:"user"`
	Customer *sessionCustomer `json:"customer"`
	LinkedAt time.Time        `json:"linkedAt,omitzero"`
}

func newLinkResponse(l clienttoken.Link) linkResponse {
	return linkResponse{User: l.UserID, Customer: newSessionCustomer(l.Customer), LinkedAt: l.Since.UTC()}
}

// pathUser returns the {user} of the path, or "" for one that cannot be decoded.
func pathUser(r *http.Request) string {
	user := chi.URLParam(r, "user")
	if r.URL.RawPath != "" { // then chi matches that, and leaves it as it is
		var err error
		if user, err = url.PathUnescape(user); err != nil {
			return ""
		}
	}
	return user
}

// userOf is pathUser for a request that needs a user, and notes the user.
func userOf(r *http.Request) (string, error) {
	user := pathUser(r)
	if err := clienttoken.CheckUserID(user); err != nil {
		return "", &problem{
			code: clienttoken.BadRequest, message: "The address names no user: " + err.Error() + ".", reason: err.Error(),
		}
	}
	recordOf(r).user = user
	return user, nil
}

// storedUserOf is userOf, and also takes the id of a row that was made when the rules
// for ids were looser: an operator has to be able to remove it. A mistyped id stays
// a fault.
func storedUserOf(r *http.Request, links LinkReader) (string, error) {
	user := pathUser(r)
	if clienttoken.ValidUserID(user) || !clienttoken.StorableUserID(user) {
		return userOf(r)
	}
	_, err := links.Find(r.Context(), user)
	switch {
	case errors.Is(err, clienttoken.ErrNoCustomer):
		return userOf(r)
	case err != nil:
		return "", err
	}
	recordOf(r).user = user
	return user, nil
}

// showLink is GET /customers/{user} of the admin listener.
func (h *handler) showLink(links LinkReader) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := storedUserOf(r, links)
		if err != nil {
			return err
		}
		found, err := links.Find(r.Context(), user)
		if errors.Is(err, clienttoken.ErrNoCustomer) {
			return &problem{code: missing, message: "No Customer is linked to this user.", reason: "no link"}
		} else if err != nil {
			return err
		}
		recordOf(r).customer = found.Customer.URL.ID()
		if err := h.accept(r); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, newLinkResponse(found))
	}
}

type putLinkRequest struct {
	Customer string `json:"customer" validate:"required,max=2048"` // an id or a URL
}

// putLink is PUT /customers/{user} of the admin listener. It replaces nothing: a
// user or a Customer that is linked otherwise has to be unlinked first, by
// somebody who means it.
func (h *handler) putLink(api clienttoken.API, reader LinkReader, writer LinkWriter) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := userOf(r)
		if err != nil {
			return err
		}
		request, err := decode[putLinkRequest](w, r)
		if err != nil {
			return err
		}
		if err := h.validate.StructCtx(r.Context(), request); err != nil {
			return invalidMembers(err)
		}
		customer, err := clienttoken.ParseCustomer(api, request.Customer)
		if err != nil {
			return invalid([]embedded{{
				Code: "InvalidFormat", Message: "The value is neither the id nor the URL of a Customer of this environment.", Path: "/customer",
			}})
		}
		recordOf(r).customer = customer.ID()
		if err := writer.Link(withCause(r), user, customer); err != nil {
			if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
				return &problem{code: refusal.Code, message: "Nothing was changed: " + refusal.Reason + ".", reason: refusal.Reason}
			}
			return err
		}
		found, err := reader.Find(r.Context(), user)
		if err != nil { // it is linked all the same
			found = clienttoken.Link{UserID: user, Customer: clienttoken.Customer{URL: customer}}
		}
		return writeJSON(w, http.StatusOK, newLinkResponse(found))
	}
}

// deleteLink is DELETE /customers/{user} of the admin listener.
func deleteLink(links Links) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := storedUserOf(r, links)
		if err != nil {
			return err
		}
		if found, err := links.Find(r.Context(), user); err == nil { // for the audit
			recordOf(r).customer = found.Customer.URL.ID()
		}
		if err := links.Unlink(withCause(r), user); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

const (
	usualPage   = 100
	longestPage = 1000
)

type linksResponse struct {
	Customers []linkResponse `json:"customers"`
	// Next is where the next page begins: the cursor of the same request. It is
	// empty on the last page.
	Next string `json:"next,omitempty"`
}

// page is what a request asks to see of a list.
type page struct {
	after string // the user before
	limit int
}

func pageOf(r *http.Request) (page, error) {
	query := r.URL.Query()
	p := page{limit: usualPage}
	if given := query.Get("limit"); given != "" {
		var err error
		if p.limit, err = strconv.Atoi(given); err != nil || p.limit < 1 || p.limit > longestPage {
			return page{}, &problem{code: clienttoken.BadRequest, message: "limit has to be a number from 1 to 1000.", reason: "limit"}
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
	if err != nil || len(after) > 0 && !clienttoken.StorableUserID(string(after)) {
		return page{}, &problem{code: clienttoken.BadRequest, message: "cursor has to be the next of an earlier answer.", reason: "cursor"}
	}
	p.after = string(after)
	return p, nil
}

// listLinks is GET /customers?limit=…&cursor=… of the admin listener.
func (h *handler) listLinks(links LinkReader) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		page, err := pageOf(r)
		if err != nil {
			return err
		}
		found, err := links.List(r.Context(), page.after, page.limit)
		if err != nil {
			return err
		}
		answer := linksResponse{Customers: make([]linkResponse, 0, len(found))}
		for _, l := range found {
			answer.Customers = append(answer.Customers, newLinkResponse(l))
		}
		if len(found) == page.limit {
			answer.Next = base64.RawURLEncoding.EncodeToString([]byte(found[page.limit-1].UserID))
		}
		recordOf(r).reason = fmt.Sprintf("%d links after %q", len(found), page.after)
		if err := h.accept(r); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}
