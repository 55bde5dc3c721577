package clienttoken

import (
	"context"
	"errors"
	"fmt"
)

// Directory knows what is whose.
type Directory interface {
	// Customer returns the user's Customer, ErrNoCustomer when the user has
	// none, or a *Failure when that cannot be known now.
	Customer(ctx context.Context, user User) (Customer, error)
	// HasBeneficialOwner reports whether owner is one of customer's. An error
	// that is not the caller's own cancellation is a *Failure.
	HasBeneficialOwner(ctx context.Context, customer CustomerURL, owner BeneficialOwnerURL) (bool, error)
}

// Enrollment makes the Customer that a user has created with a drop-in
// component the user's own. The browser learns its URL first, so the URL is no
// proof; the correlationId is.
type Enrollment interface {
	// CorrelationID is what the user's new Customer has to be created with.
	CorrelationID(user User) string
	// Expect remembers that user is about to create a Customer. An error is as
	// Directory's are.
	Expect(ctx context.Context, user User) error
	// Enroll links the Customer to a user who has none, and returns it. It is a
	// *Refusal unless Dwolla says that the Customer has the user's
	// correlationId; other errors are as Directory's are.
	Enroll(ctx context.Context, user User, customer CustomerURL) (Customer, error)
}

// Dwolla is the part of Dwolla's API that vending needs. An error that is not
// the caller's own cancellation is a *Failure.
type Dwolla interface {
	CreateClientToken(ctx context.Context, grant Grant) (Token, error)
}

// Changes knows what this replica learns while a request waits for Dwolla.
type Changes interface {
	// Watch begins to note what is learnt of the user, and of every Customer that
	// the user is said to have from then on. Nothing is asked for it.
	Watch(userID string) Watch
}

// Watch notes what is learnt. It is for one request.
type Watch interface {
	// Restart forgets all that was noted: the user has just got a Customer.
	Restart()
	// Learnt says what contradicts a token for the user's own Customer, and for
	// owner where it is not the zero one.
	Learnt(own CustomerURL, owner BeneficialOwnerURL) Learnt
	// End ends the watch.
	End()
}

// Learnt is what was learnt of a user's Customer. The zero Learnt is nothing.
type Learnt struct {
	Moved     bool           // the user has another Customer or none, or another user has it
	Status    CustomerStatus // one that gets no tokens, or empty
	OwnerGone bool           // the beneficial owner is no longer listed
}

// unwatched is the Watch of a Vendor without Changes.
type unwatched struct{}

// Restart implements Watch.
func (unwatched) Restart() {}

// End implements Watch.
func (unwatched) End() {}

// Learnt implements Watch.
func (unwatched) Learnt(CustomerURL, BeneficialOwnerURL) Learnt { return Learnt{} }

// Creations is an allowance of tokens for customer.create, for each user: a hoard of
// them would create many Customers. An error is passed on as it came.
type Creations interface {
	// CheckCreate refuses a user who has none left. It takes nothing.
	CheckCreate(userID string) error
	// PayCreate takes one, or refuses a user who has none left.
	PayCreate(ctx context.Context, userID string) error
}

// Request is what a drop-in component asks for, word for word: nothing in it
// is believed. An empty link is one that was not named.
type Request struct {
	Action          string
	Customer        string // the href of the "customer" link
	BeneficialOwner string // the href of the "beneficial-owner" link
}

// Grant is what Dwolla is asked to make a token for. It is built from scratch,
// from verified parts only; a zero link is not sent.
type Grant struct {
	Action          Action
	Customer        CustomerURL
	BeneficialOwner BeneficialOwnerURL
}

// Token is a client token: it works once, within the hour, for one action and
// one Customer. It is never stored and never cached.
type Token struct {
	Secret
	DwollaRequestID string // Dwolla's X-Request-Id of the answer that held it
}

// Vended tells what was handed out, and for whom. Beside an error it holds what
// was known by then, for the audit.
type Vended struct {
	Action   Action
	Customer CustomerURL // the user's own, whether or not the token needed it
	Enrolled bool        // the Customer became the user's own by this very request
	Token    Token
}

// Vendor vends client tokens. All fields but Enrollment, Creations and
// Changes are required.
type Vendor struct {
	API       API
	Policy    Policy
	Directory Directory
	Dwolla    Dwolla
	// Enrollment is nil where others say whose Customer is whose: then a user
	// who names a Customer has to be linked to it already.
	Enrollment Enrollment
	Creations  Creations // nil: no limit
	// Changes is nil where nothing is learnt between two questions of Directory.
	Changes Changes
}

// Vend hands user a token for what req asks, or returns a *Refusal, a *Failure,
// the error of Creations or that of a context that ended. The checks stand in the order in which
// they happen, and every one of them runs before Dwolla is asked for the token. What
// this replica has learnt while Dwolla answered counts as well: then the token is
// dropped. Vended is never nil.
func (v *Vendor) Vend(ctx context.Context, user User, req Request) (*Vended, error) {
	vended := &Vended{}
	action, err := ParseAction(req.Action)
	if err != nil {
		return vended, refuse(ActionNotAllowed, "%v", err)
	}
	vended.Action = action
	if !v.Policy.Allows(user, action) {
		return vended, refuse(ActionNotAllowed, "the policy does not allow %s", action)
	}
	watch := v.watch(user)
	defer watch.End()
	own, err := v.customer(ctx, user, req.Customer, watch)
	vended.Customer, vended.Enrolled = own.URL, own.enrolled
	if err != nil {
		return vended, err
	}
	grant, err := v.grant(ctx, own.Customer, action, req)
	if err != nil {
		return vended, err
	}
	token, err := v.create(ctx, user, grant)
	if err != nil {
		return vended, err
	}
	if err := contradiction(own.URL, grant, watch.Learnt(own.URL, grant.BeneficialOwner)); err != nil {
		return vended, err
	}
	vended.Token = token
	return vended, nil
}

func (v *Vendor) watch(user User) Watch {
	if v.Changes == nil {
		return unwatched{}
	}
	return v.Changes.Watch(user.ID)
}

// contradiction is the refusal of a grant for the user's own Customer after what was
// learnt, or nil.
func contradiction(own CustomerURL, grant Grant, learnt Learnt) error {
	switch {
	case learnt.Status.Inactive():
		return refuse(CustomerInactive, "the user's Customer became %s while Dwolla answered", learnt.Status)
	case learnt.Moved && grant.Action == ActionCustomerCreate:
		return refuse(CustomerAlreadyLinked, "the user got a Customer while Dwolla answered")
	case learnt.Moved && !own.IsZero():
		return refuse(CustomerMismatch, "the user's link changed while Dwolla answered")
	case learnt.OwnerGone:
		return refuse(CustomerMismatch, "the beneficial owner was removed while Dwolla answered")
	}
	return nil
}

// create asks Dwolla for the token. One for customer.create is paid for once Dwolla
// has made it: an attempt that failed costs nothing, and a token that the user
// cannot pay for is dropped.
func (v *Vendor) create(ctx context.Context, user User, grant Grant) (Token, error) {
	creates := grant.Action == ActionCustomerCreate
	if creates && v.Creations != nil {
		if err := v.Creations.CheckCreate(user.ID); err != nil {
			return Token{}, err
		}
	}
	if creates && v.Enrollment != nil {
		if err := v.Enrollment.Expect(ctx, user); err != nil {
			return Token{}, fmt.Errorf("expecting a new Customer: %w", err)
		}
	}
	token, err := v.Dwolla.CreateClientToken(ctx, grant)
	if err != nil {
		return Token{}, fmt.Errorf("creating a client token: %w", err)
	}
	if creates && v.Creations != nil {
		if err := v.Creations.PayCreate(ctx, user.ID); err != nil {
			return Token{}, err
		}
	}
	return token, nil
}

// Linked is the user's own Customer.
type Linked struct {
	Customer

	Enrolled bool // by this very request
}

// Link makes the Customer that href names the user's own, or finds that it is
// that already. Errors are those of Vend. Beside one is the Customer that the
// user has.
func (v *Vendor) Link(ctx context.Context, user User, href string) (Linked, error) {
	watch := v.watch(user)
	defer watch.End()
	own, err := v.customer(ctx, user, href, watch)
	if err == nil && watch.Learnt(own.URL, BeneficialOwnerURL{}).Moved {
		err = refuse(CustomerMismatch, "the user's link changed meanwhile")
	}
	return Linked{own.Customer, own.enrolled}, err
}

// customerOfUser is a user's own Customer, or none.
type customerOfUser struct {
	Customer

	enrolled bool // by this very request
}

// customer returns the user's own Customer. One that the request names must be
// it, and is refused, not replaced, when it is not; a user who has none may prove
// that it is (Enroll).
func (v *Vendor) customer(ctx context.Context, user User, href string, watch Watch) (customerOfUser, error) {
	found, err := v.Directory.Customer(ctx, user)
	own := customerOfUser{Customer: found}
	if errors.Is(err, ErrNoCustomer) {
		own = customerOfUser{}
	} else if err != nil {
		return customerOfUser{}, fmt.Errorf("finding the user's Customer: %w", err)
	}
	if href == "" {
		return own, nil
	}
	named, err := ParseCustomerURL(v.API, href)
	if err != nil {
		return own, refuse(CustomerMismatch, "customer link: %v", err)
	}
	if own.URL.IsZero() && v.Enrollment != nil {
		return v.enroll(ctx, user, named, watch)
	}
	if named != own.URL {
		return own, refuse(CustomerMismatch, "the request names Customer %s", named.ID())
	}
	return own, nil
}

// enroll makes the named Customer the user's own, if it can be proven to be. What
// the directory has been told of the Customer counts beside what Dwolla says.
func (v *Vendor) enroll(ctx context.Context, user User, named CustomerURL, watch Watch) (customerOfUser, error) {
	enrolled, err := v.Enrollment.Enroll(ctx, user, named)
	if err != nil {
		return customerOfUser{}, err
	}
	watch.Restart() // the directory hears of the new Customer below
	own := customerOfUser{enrolled, true}
	found, err := v.Directory.Customer(ctx, user)
	switch {
	case err != nil && !errors.Is(err, ErrNoCustomer):
		return own, fmt.Errorf("finding the user's new Customer: %w", err)
	case found.URL == named && found.Status.Inactive():
		own.Status = found.Status
	}
	return own, nil
}

// grant checks what may be granted to the user's own Customer. The grant holds the
// relations that the request names. A request without any gets the user's own
// Customer.
func (v *Vendor) grant(ctx context.Context, own Customer, action Action, req Request) (Grant, error) {
	if own.Status.Inactive() {
		return Grant{}, refuse(CustomerInactive, "the user's Customer is %s", own.Status)
	}
	if action == ActionCustomerCreate && !own.URL.IsZero() {
		return Grant{}, refuse(CustomerAlreadyLinked, "the user has a Customer already")
	}
	grant := Grant{Action: action}
	if req.BeneficialOwner != "" {
		owner, err := v.ownersOwn(ctx, own.URL, req.BeneficialOwner)
		if err != nil {
			return Grant{}, err
		}
		grant.BeneficialOwner = owner
	}
	if req.Customer != "" || req.BeneficialOwner == "" {
		grant.Customer = own.URL
	}
	if action.needsCustomer() && own.URL.IsZero() {
		return Grant{}, refuse(CustomerNotLinked, "the user has no Customer")
	}
	return grant, nil
}

// ownersOwn returns the named beneficial owner if it is one of customer's. The
// owner's own resource at Dwolla does not say whose it is.
func (v *Vendor) ownersOwn(ctx context.Context, customer CustomerURL, href string) (BeneficialOwnerURL, error) {
	named, err := ParseBeneficialOwnerURL(v.API, href)
	if err != nil {
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "beneficial-owner link: %v", err)
	}
	if customer.IsZero() {
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "the request names beneficial owner %s, and the user has no Customer", named)
	}
	has, err := v.Directory.HasBeneficialOwner(ctx, customer, named)
	if err != nil {
		return BeneficialOwnerURL{}, fmt.Errorf("finding the Customer's beneficial owners: %w", err)
	}
	if !has {
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "beneficial owner %s is not the Customer's", named)
	}
	return named, nil
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}
