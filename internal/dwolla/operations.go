package dwolla

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"dropgate/internal/clienttoken"
)

// CreateClientToken asks Dwolla for a client token for grant: POST
// /client-tokens. The error is a *clienttoken.Failure that wraps an *Error, or
// context.Canceled when the caller has gone.
func (c *Client) CreateClientToken(ctx context.Context, grant clienttoken.Grant) (clienttoken.Token, error) {
	body, err := marshalGrant(grant)
	if err != nil {
		return clienttoken.Token{}, err
	}
	// A retry is harmless after a lost answer: an unused client token expires.
	var token clienttoken.Token
	err = c.do(ctx, &call{opCreateClientToken, http.MethodPost, "/client-tokens", body, func(got answer) error {
		var a struct {
			Token string `json:"token"`
		}
		if err := got.decode(&a); err != nil {
			return err
		}
		if a.Token == "" {
			return errNoToken
		}
		token = clienttoken.Token{Secret: clienttoken.NewSecret(a.Token), DwollaRequestID: got.requestID}
		return nil
	}, noRetry})
	return token, err
}

type link struct {
	Href string `json:"href"`
}

// wireGrant is the request body. An action without links has no _links member, as
// in Dwolla's sample for customer.create.
type wireGrant struct {
	Action clienttoken.Action `json:"action"`
	Links  wireLinks          `json:"_links,omitzero"`
}

type wireLinks struct {
	BeneficialOwner link `json:"beneficial-owner,omitzero"`
	Customer        link `json:"customer,omitzero"`
}

func marshalGrant(grant clienttoken.Grant) ([]byte, error) {
	body, err := json.Marshal(wireGrant{grant.Action, wireLinks{
		BeneficialOwner: link{grant.BeneficialOwner.String()},
		Customer:        link{grant.Customer.String()},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	return body, nil
}

func customerPath(customer clienttoken.CustomerURL) string { return "/customers/" + customer.ID() }

// GetCustomer reads a Customer: GET /customers/{id}. It returns
// clienttoken.ErrUnknownCustomer if Dwolla says the Customer does not exist or
// belongs to another application. CorrelationID is empty if the Customer was
// created without one.
func (c *Client) GetCustomer(ctx context.Context, customer clienttoken.CustomerURL) (clienttoken.Customer, error) {
	found := clienttoken.Customer{URL: customer}
	err := c.do(ctx, &call{opGetCustomer, http.MethodGet, customerPath(customer), nil, func(got answer) error {
		var a struct {
			ID            string                     `json:"id"`
			Status        clienttoken.CustomerStatus `json:"status"`
			CorrelationID string                     `json:"correlationId"`
		}
		if err := got.decode(&a); err != nil {
			return err
		}
		// A cache or gateway may mix up answers, and the correlationId proves
		// ownership, so the id must match the request.
		if !strings.EqualFold(a.ID, customer.ID()) {
			return errOtherCustomer
		}
		found.Status, found.CorrelationID = a.Status, a.CorrelationID
		return nil
	}, noRetry})
	if refused, ok := errors.AsType[*Error](err); ok && refused.customerUnknown() {
		return clienttoken.Customer{}, fmt.Errorf("%w: %w", clienttoken.ErrUnknownCustomer, refused)
	} else if err != nil {
		return clienttoken.Customer{}, err
	}
	return found, nil
}

// ListBeneficialOwners lists the beneficial owners of a Customer: GET
// /customers/{id}/beneficial-owners. Dwolla's answer is not paged. Its self link
// must name this Customer, because a cache or gateway may mix up answers.
func (c *Client) ListBeneficialOwners(ctx context.Context, customer clienttoken.CustomerURL) ([]clienttoken.BeneficialOwnerURL, error) {
	var owners []clienttoken.BeneficialOwnerURL
	err := c.do(ctx, &call{opListBeneficialOwners, http.MethodGet, customerPath(customer) + "/beneficial-owners", nil, func(got answer) error {
		var a struct {
			Links struct {
				Self link `json:"self"`
			} `json:"_links"`
			Embedded struct {
				Owners []struct {
					ID string `json:"id"`
				} `json:"beneficial-owners"`
			} `json:"_embedded"`
		}
		if err := got.decode(&a); err != nil {
			return err
		}
		if !c.isOwnerList(a.Links.Self.Href, customer) {
			return errOtherOwners
		}
		listed := make([]clienttoken.BeneficialOwnerURL, 0, len(a.Embedded.Owners))
		for _, o := range a.Embedded.Owners {
			owner, err := clienttoken.ParseBeneficialOwnerID(c.api, o.ID)
			if err != nil {
				return errNoOwnerID // err quotes the answer
			}
			listed = append(listed, owner)
		}
		owners = listed
		return nil
	}, noRetry})
	return owners, err
}

// isOwnerList reports whether href names the customer's list of beneficial owners.
// It accepts every spelling accepted by [clienttoken.ParseCustomerURL].
func (c *Client) isOwnerList(href string, customer clienttoken.CustomerURL) bool {
	const list = "/beneficial-owners"
	href = strings.TrimSuffix(href, "/")
	if len(href) <= len(list) || !strings.EqualFold(href[len(href)-len(list):], list) {
		return false
	}
	listed, err := clienttoken.ParseCustomerURL(c.api, href[:len(href)-len(list)])
	return err == nil && listed == customer
}
