package customer

import (
	"context"
	"errors"
	"fmt"

	"dropgate/internal/clienttoken"
)

// Records are the links as an operator sees and changes them. All fields are
// required.
type Records struct {
	API   clienttoken.API
	Links *Links
	Store *Database
}

// Find returns the user's link with the status that webhooks have kept, or
// clienttoken.ErrNoCustomer. Errors are those of Links.
func (r Records) Find(ctx context.Context, userID string) (clienttoken.Link, error) {
	found, err := r.Store.Find(ctx, userID)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		return clienttoken.Link{}, clienttoken.ErrNoCustomer
	} else if err != nil {
		return clienttoken.Link{}, storeFault(ctx, err)
	}
	link, err := r.link(ctx, found)
	if err != nil {
		return clienttoken.Link{}, err
	}
	status, err := r.Store.Status(ctx, found.CustomerID)
	if err != nil {
		return clienttoken.Link{}, storeFault(ctx, err)
	}
	link.Customer.Status = clienttoken.CustomerStatus(status)
	return link, nil
}

// List returns at most limit links of the users after one, without status.
func (r Records) List(ctx context.Context, after string, limit int) ([]clienttoken.Link, error) {
	found, err := r.Store.List(ctx, after, limit)
	if err != nil {
		return nil, storeFault(ctx, err)
	}
	links := make([]clienttoken.Link, 0, len(found))
	for _, f := range found {
		link, err := r.link(ctx, f)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

func (r Records) link(ctx context.Context, found Link) (clienttoken.Link, error) {
	url, err := clienttoken.ParseCustomerID(r.API, found.CustomerID)
	if err != nil {
		return clienttoken.Link{}, storeFault(ctx, fmt.Errorf("the user's row: %w", err))
	}
	return clienttoken.Link{UserID: found.UserID, Customer: clienttoken.Customer{URL: url}, Since: found.LinkedAt}, nil
}

// Link makes the Customer the user's own; see [Links.Link].
func (r Records) Link(ctx context.Context, userID string, customer clienttoken.CustomerURL) error {
	return r.Links.Link(ctx, r.Store.users.Canonical(userID), customer)
}

// Unlink frees the user and the Customer.
func (r Records) Unlink(ctx context.Context, userID string) error {
	return r.Links.Unlink(ctx, r.Store.users.Canonical(userID))
}
