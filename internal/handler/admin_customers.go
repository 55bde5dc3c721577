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

// LinkReader reads user–Customer links. An error is a *clienttoken.Failure, or that
// of ctx.
type LinkReader interface {
	// Find returns the user's link, or clienttoken.ErrNoCustomer.
	Find(ctx context.Context, userID string) (clienttoken.Link, error)
	// List returns at most limit links, in a stable order, from behind the user
	// after. An empty after means the beginning.
	List(ctx context.Context, after string, limit int) ([]clienttoken.Link, error)
}

// LinkWriter changes user–Customer links for an operator. It returns a
// *clienttoken.Refusal if the user or the Customer has another link. Its other
// errors are those of LinkReader. Both methods are idempotent.
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

// pathUser returns the {user} of the path, or "" if it cannot be decoded.
func pathUser(r *http.Request) string {
	user := chi.URLParam(r, "user")
	if r.URL.RawPath != "" { // chi then matches the encoded path and does not decode
		var err error
		if user, err = url.PathUnescape(user); err != nil {
			return ""
		}
	}
	return user
}

// validPathUser returns the {user} of the path, which must be a valid user id.
func validPathUser(r *http.Request) (string, error) {
	user := pathUser(r)
	if err := clienttoken.CheckUserID(user); err != nil {
		return "", &problem{
			code: clienttoken.BadRequest, message: "The path does not name a user: " + err.Error() + ".", reason: err.Error(),
		}
	}
	requestLogOf(r).user = user
	return user, nil
}

// storedPathUser is like validPathUser, but also accepts the id of a stored link. An
// earlier version had looser rules, and operators must be able to remove its rows.
func storedPathUser(r *http.Request, links LinkReader) (string, error) {
	user := pathUser(r)
	if clienttoken.ValidUserID(user) || !clienttoken.StorableUserID(user) {
		return validPathUser(r)
	}
	_, err := links.Find(r.Context(), user)
	switch {
	case errors.Is(err, clienttoken.ErrNoCustomer):
		return validPathUser(r)
	case err != nil:
		return "", err
	}
	requestLogOf(r).user = user
	return user, nil
}

// showLink is GET /customers/{user} of the admin listener.
func (h *handler) showLink(links LinkReader) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := storedPathUser(r, links)
		if err != nil {
			return err
		}
		found, err := links.Find(r.Context(), user)
		if errors.Is(err, clienttoken.ErrNoCustomer) {
			return &problem{code: notFound, message: "No Customer is linked to this user.", reason: "no link"}
		} else if err != nil {
			return err
		}
		requestLogOf(r).customer = found.Customer.URL.ID()
		if err := h.writeEntry(r); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, newLinkResponse(found))
	}
}

type putLinkRequest struct {
	Customer string `json:"customer" validate:"required,max=2048"` // an id or a URL
}

// putLink is PUT /customers/{user} of the admin listener. It never replaces a link:
// an operator has to unlink the user or the Customer first.
func (h *handler) putLink(api clienttoken.API, reader LinkReader, writer LinkWriter) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := validPathUser(r)
		if err != nil {
			return err
		}
		request, err := decode[putLinkRequest](w, r)
		if err != nil {
			return err
		}
		if err := h.validate.StructCtx(r.Context(), request); err != nil {
			return memberProblem(err)
		}
		customer, err := clienttoken.ParseCustomer(api, request.Customer)
		if err != nil {
			return validationProblem([]embeddedError{{
				Code: "InvalidFormat", Message: "The value is not the id or URL of a Customer in this environment.", Path: "/customer",
			}})
		}
		requestLogOf(r).customer = customer.ID()
		if err := writer.Link(withCause(r), user, customer); err != nil {
			if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
				return &problem{code: refusal.Code, message: "Nothing was changed: " + refusal.Reason + ".", reason: refusal.Reason}
			}
			return err
		}
		found, err := reader.Find(r.Context(), user)
		if err != nil { // the link was written nevertheless
			found = clienttoken.Link{UserID: user, Customer: clienttoken.Customer{URL: customer}}
		}
		return writeJSON(w, http.StatusOK, newLinkResponse(found))
	}
}

// deleteLink is DELETE /customers/{user} of the admin listener.
func deleteLink(links Links) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		user, err := storedPathUser(r, links)
		if err != nil {
			return err
		}
		if found, err := links.Find(r.Context(), user); err == nil { // for the audit entry
			requestLogOf(r).customer = found.Customer.URL.ID()
		}
		if err := links.Unlink(withCause(r), user); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

const (
	defaultPage = 100
	maxPage     = 1000
)

type linksResponse struct {
	Customers []linkResponse `json:"customers"`
	// Next is the cursor for the next page, or empty on the last page.
	Next string `json:"next,omitempty"`
}

// page is the part of a list that a request asks for.
type page struct {
	after string // the last user of the page before
	limit int
}

func pageOf(r *http.Request) (page, error) {
	query := r.URL.Query()
	p := page{limit: defaultPage}
	if given := query.Get("limit"); given != "" {
		var err error
		if p.limit, err = strconv.Atoi(given); err != nil || p.limit < 1 || p.limit > maxPage {
			return page{}, &problem{code: clienttoken.BadRequest, message: "limit must be a number from 1 to 1000.", reason: "limit"}
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
	if err != nil || len(after) > 0 && !clienttoken.StorableUserID(string(after)) {
		return page{}, &problem{code: clienttoken.BadRequest, message: "cursor must be the value of next in an earlier response.", reason: "cursor"}
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
		requestLogOf(r).reason = fmt.Sprintf("%d links after %q", len(found), page.after)
		if err := h.writeEntry(r); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, answer)
	}
}
