package clienttoken

import (
	"context"
	"fmt"
)

// Policy decides which actions a user is allowed.
type Policy interface {
	// For evaluates the rules for user. Vendor calls it once per request, before
	// it looks for the user's Customer. An error is a *Failure, or that of ctx.
	For(ctx context.Context, user User) (Allowed, error)
}

// Directory knows the users' Customers and the Customers' beneficial owners.
type Directory interface {
	// Customer returns the user's Customer or ErrNoCustomer. Another error is a
	// *Failure, or that of ctx.
	Customer(ctx context.Context, user User) (Customer, error)
	// HasBeneficialOwner reports whether owner belongs to customer. An error is a
	// *Failure, or that of ctx.
	HasBeneficialOwner(ctx context.Context, customer CustomerURL, owner BeneficialOwnerURL) (bool, error)
}

// Dwolla is the part of Dwolla's API for vending. An error is a *Failure, or that
// of ctx.
type Dwolla interface {
	CreateClientToken(ctx context.Context, grant Grant) (Token, error)
}

// Creations limits each user's tokens for customer.create: a user with many of
// them could create many Customers. Vend returns its errors unchanged.
type Creations interface {
	// CheckCreate fails if the user's allowance is used up. It takes nothing.
	CheckCreate(userID string) error
	// PayCreate takes one from the user's allowance, or fails if it is used up.
	PayCreate(ctx context.Context, userID string) error
}

// Request is a drop-in component's request, word for word. Nothing in it is
// trusted. An empty link was not named.
type Request struct {
	Action          string
	Customer        string // the href of the "customer" link
	BeneficialOwner string // the href of the "beneficial-owner" link
}

// Grant describes the token for Dwolla to make. It holds verified parts only. A
// zero link is not sent.
type Grant struct {
	Action          Action
	Customer        CustomerURL
	BeneficialOwner BeneficialOwnerURL
}

// Token is a client token. It works once, within one hour, for one action and
// one Customer. It is never stored or cached.
type Token struct {
	Secret
	DwollaRequestID string // Dwolla's X-Request-Id
}

// Vended is the outcome of Vend. Beside an error it holds the facts known by
// then, for the audit entry.
type Vended struct {
	Action   Action
	Customer CustomerURL // the user's own, even if the token does not need it
	Enrolled bool        // this request enrolled the Customer
	Token    Token
}

// Vendor vends client tokens. Enrollment, Creations and Changes are optional.
type Vendor struct {
	API       API
	Policy    Policy
	Directory Directory
	Dwolla    Dwolla
	// Enrollment is nil if only other systems link Customers. Then a user cannot
	// enroll a Customer.
	Enrollment Enrollment
	Creations  Creations // nil: no limit
	Changes    Changes   // nil: every Directory call reads the current state
}

// Vend hands user a token for req. The error is a *Refusal, a *Failure, an error
// of Creations, or that of ctx. Vended is never nil.
//
// The checks run in the order of the code, all before Dwolla makes the token.
// Afterwards Vend drops the token if this replica has meanwhile learnt something
// that forbids it. cause is called for an enrollment only.
func (v *Vendor) Vend(ctx context.Context, user User, req Request, cause func() Cause) (*Vended, error) {
	vended := &Vended{}
	action, err := v.allowedAction(ctx, user, req.Action)
	vended.Action = action
	if err != nil {
		return vended, err
	}
	watch := v.watch(user)
	defer watch.End()
	grant, err := v.decide(ctx, user, req, enrolling{watch, cause}, vended)
	if err != nil {
		return vended, err
	}
	token, err := v.create(ctx, user, grant)
	if err != nil {
		return vended, err
	}
	if err := checkChanges(vended.Customer, grant, watch.Learnt(vended.Customer, grant.BeneficialOwner)); err != nil {
		return vended, err
	}
	vended.Token = token
	return vended, nil
}

// decide checks the request of a user for vended.Action, which the policy allows. It
// puts the user's Customer into vended.
func (v *Vendor) decide(ctx context.Context, user User, req Request, by enrolling, vended *Vended) (Grant, error) {
	own, err := v.ownCustomer(ctx, user, req.Customer, by)
	vended.Customer, vended.Enrolled = own.URL, own.Enrolled
	if err != nil {
		return Grant{}, err
	}
	return v.grant(ctx, own.Customer, vended.Action, req)
}

// create has Dwolla make the token. A token for customer.create counts once Dwolla
// has made it, so that a failed attempt is free. If the allowance is then used up,
// the token is dropped.
func (v *Vendor) create(ctx context.Context, user User, grant Grant) (Token, error) {
	if grant.Action == ActionCustomerCreate {
		if err := v.expectCreation(ctx, user); err != nil {
			return Token{}, err
		}
	}
	token, err := v.Dwolla.CreateClientToken(ctx, grant)
	if err != nil {
		return Token{}, fmt.Errorf("creating a client token: %w", err)
	}
	if grant.Action == ActionCustomerCreate && v.Creations != nil {
		if err := v.Creations.PayCreate(ctx, user.ID); err != nil {
			return Token{}, err
		}
	}
	return token, nil
}

// allowedAction returns the named action if the policy allows it. Beside a refusal
// by the policy it also returns the action.
func (v *Vendor) allowedAction(ctx context.Context, user User, name string) (Action, error) {
	action, err := ParseAction(name)
	if err != nil {
		return "", refuse(ActionNotAllowed, "%v", err)
	}
	allowed, err := v.allowed(ctx, user)
	if err != nil {
		return action, err
	}
	if !allowed.Allows(action) {
		return action, refuse(ActionNotAllowed, "%s does not allow %s", allowed.Rule, action)
	}
	return action, nil
}

func (v *Vendor) allowed(ctx context.Context, user User) (Allowed, error) {
	allowed, err := v.Policy.For(ctx, user)
	if err != nil {
		return Allowed{}, fmt.Errorf("evaluating the policy: %w", err)
	}
	return allowed, nil
}

// grant checks the request against the user's own Customer. The grant holds the
// relations named by the request. A request without any gets the user's own
// Customer.
func (v *Vendor) grant(ctx context.Context, own Customer, action Action, req Request) (Grant, error) {
	if own.Status.Inactive() {
		return Grant{}, refuse(CustomerInactive, "the user's Customer is %s", own.Status)
	}
	if action == ActionCustomerCreate && !own.URL.IsZero() {
		return Grant{}, refuse(CustomerAlreadyLinked, "the user already has a Customer")
	}
	grant := Grant{Action: action}
	if req.BeneficialOwner != "" {
		owner, err := v.beneficialOwner(ctx, own.URL, req.BeneficialOwner)
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

// beneficialOwner returns the named beneficial owner if it belongs to customer.
// It asks for customer's list, because Dwolla's resource of an owner does not
// name the Customer.
func (v *Vendor) beneficialOwner(ctx context.Context, customer CustomerURL, href string) (BeneficialOwnerURL, error) {
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
		return BeneficialOwnerURL{}, refuse(CustomerMismatch, "beneficial owner %s does not belong to the user's Customer", named)
	}
	return named, nil
}

// expectCreation prepares for a new Customer: it refuses a user without allowance,
// and lets enrollment recognize the Customer.
func (v *Vendor) expectCreation(ctx context.Context, user User) error {
	if v.Creations != nil {
		if err := v.Creations.CheckCreate(user.ID); err != nil {
			return err
		}
	}
	if v.Enrollment != nil {
		if err := v.Enrollment.Expect(ctx, user); err != nil {
			return fmt.Errorf("expecting a new Customer: %w", err)
		}
	}
	return nil
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Reason: fmt.Sprintf(format, args...)}
}
