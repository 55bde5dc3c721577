package customer

import (
	"context"
	"errors"
	"fmt"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
)

// LinkAdmin lets operators read and change links. All fields are required.
type LinkAdmin struct {
	API   clienttoken.API
	Links *LinkSource
	Store *customerdb.Database
}

// Find returns the user's link with the Customer's last known status, or
// clienttoken.ErrNoCustomer. Errors are those of [LinkSource].
func (a LinkAdmin) Find(ctx context.Context, userID string) (clienttoken.Link, error) {
	found, err := a.Store.Find(ctx, userID)
	if errors.Is(err, clienttoken.ErrNoCustomer) {
		return clienttoken.Link{}, clienttoken.ErrNoCustomer
	} else if err != nil {
		return clienttoken.Link{}, storeFault(ctx, err)
	}
	link, err := a.link(ctx, found)
	if err != nil {
		return clienttoken.Link{}, err
	}
	status, err := a.Store.Status(ctx, found.CustomerID)
	if err != nil {
		return clienttoken.Link{}, storeFault(ctx, err)
	}
	link.Customer.Status = clienttoken.CustomerStatus(status)
	return link, nil
}

// List returns at most limit links of users after the given one, without statuses.
func (a LinkAdmin) List(ctx context.Context, after string, limit int) ([]clienttoken.Link, error) {
	found, err := a.Store.List(ctx, after, limit)
	if err != nil {
		return nil, storeFault(ctx, err)
	}
	links := make([]clienttoken.Link, 0, len(found))
	for _, f := range found {
		link, err := a.link(ctx, f)
		if err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, nil
}

func (a LinkAdmin) link(ctx context.Context, found customerdb.LinkRow) (clienttoken.Link, error) {
	url, err := clienttoken.ParseCustomerID(a.API, found.CustomerID)
	if err != nil {
		return clienttoken.Link{}, storeFault(ctx, fmt.Errorf("the user's row: %w", err))
	}
	return clienttoken.Link{UserID: found.UserID, Customer: clienttoken.Customer{URL: url}, Since: found.LinkedAt}, nil
}

// Link links the Customer to the user; see [LinkSource.Link].
func (a LinkAdmin) Link(ctx context.Context, userID string, customer clienttoken.CustomerURL) error {
	return a.Links.Link(ctx, a.Store.UserIDs().Canonical(userID), customer)
}

// Unlink removes the user's link.
func (a LinkAdmin) Unlink(ctx context.Context, userID string) error {
	return a.Links.Unlink(ctx, a.Store.UserIDs().Canonical(userID))
}
