//go:build soak

package customer_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla/emulator"
)

// TestRandomStoriesKeepLinksOneToOne mixes operators' links and unlinks, new
// Customers, vends, late and repeated webhooks, and crashes. After each step every
// link must be one to one and come from an operator or a correlationId. No token may
// be for another Customer.
func TestRandomStoriesKeepLinksOneToOne(t *testing.T) {
	// All rounds share one Dwolla, with different Customers.
	e := newEnrolling(t, key("a"))
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		s := &story{
			e: e, path: filepath.Join(dir, "links.db"), round: n,
			creator: map[string]string{}, byOperator: map[[2]string]bool{},
		}
		s.open(t)
		defer s.close()
		for _, user := range s.users() {
			unlink(t, s.store, user.ID)
		}
		t.Repeat(rapid.StateMachineActions(s))
	})
}

// story is one round. rapid picks its exported methods as steps, and runs Check after
// each.
type story struct {
	e     *enrolling
	path  string
	round int

	store  *customerdb.Database
	links  *customer.LinkSource
	inbox  *customer.Inbox
	next   customerdb.WebhookEvent // read by the inbox
	vendor clienttoken.Vendor
	tokens []clienttoken.Grant

	customers  []clienttoken.CustomerURL
	creator    map[string]string  // the user of a Customer's correlationId
	byOperator map[[2]string]bool // whether an operator last linked or unlinked the pair
	sent       []customerdb.WebhookEvent
}

func (s *story) users() []clienttoken.User {
	var users []clienttoken.User
	for _, name := range []string{"ann", "bob", "carol"} {
		users = append(users, clienttoken.User{ID: fmt.Sprint(name, " ", s.round)})
	}
	return users
}

// open starts a process on the existing database.
func (s *story) open(t fataler) {
	store, err := customerdb.OpenSQLite(context.Background(), s.path)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	keys, err := customer.ParseEnrollmentKeys(clienttoken.NewSecret(key("a")))
	if err != nil {
		t.Fatalf("keys: %v", err)
	}
	s.store, s.links = store, customer.NewLinkSource(s.e.api, store, time.Hour)
	enrollment := customer.NewEnrollment(keys, s.links, store, s.e.client)
	kept := customer.NewWebhookStatus(store, time.Hour)
	s.inbox = customer.NewInbox(customer.InboxConfig{
		Read:  func(string, []byte) (customerdb.WebhookEvent, error) { return s.next, nil },
		Store: store, Enrollment: enrollment, Dwolla: s.e.client, API: s.e.api,
		Changed: func(userID string, customer clienttoken.CustomerURL) {
			s.links.Changed(userID)
			kept.Forget(customer)
		},
		Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	policy, err := clienttoken.ParsePolicy([]string{"customer.create", "customer.read"})
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	s.vendor = clienttoken.Vendor{
		API: s.e.api, Policy: policy, Dwolla: s, Enrollment: enrollment,
		Directory: customer.NewDirectory(customer.DirectoryConfig{
			Source: s.links, Owners: s.e.client, Statuses: []customer.StatusSource{kept}, Registerer: prometheus.NewRegistry(),
		}),
	}
}

func (s *story) close() { _ = s.store.Close() }

// CreateClientToken records the grant.
func (s *story) CreateClientToken(_ context.Context, grant clienttoken.Grant) (clienttoken.Token, error) {
	s.tokens = append(s.tokens, grant)
	return clienttoken.Token{Secret: clienttoken.NewSecret("a token")}, nil
}

func (s *story) user(t *rapid.T, label string) clienttoken.User {
	return rapid.SampledFrom(s.users()).Draw(t, label)
}

func (s *story) customer(t *rapid.T) clienttoken.CustomerURL {
	if len(s.customers) == 0 {
		t.Skip("there is no Customer yet")
	}
	return rapid.SampledFrom(s.customers).Draw(t, "Customer")
}

// OperatorLinks links a user and a Customer.
func (s *story) OperatorLinks(t *rapid.T) {
	user, url := s.user(t, "user"), s.customer(t)
	err := s.links.Link(context.Background(), user.ID, url)
	if err == nil {
		s.byOperator[[2]string{user.ID, url.ID()}] = true
	} else if !errors.Is(err, customerdb.ErrUserLinked) && !errors.Is(err, customerdb.ErrCustomerLinked) {
		t.Fatalf("linking: %v", err)
	}
}

// OperatorUnlinks unlinks a user.
func (s *story) OperatorUnlinks(t *rapid.T) {
	user := s.user(t, "user")
	own, err := s.store.Customer(context.Background(), user.ID)
	if err := s.links.Unlink(context.Background(), user.ID); err != nil {
		t.Fatalf("unlinking: %v", err)
	}
	if err == nil {
		s.byOperator[[2]string{user.ID, own}] = false
	}
}

// BrowserCreates creates a Customer with any user's correlationId, or none.
func (s *story) BrowserCreates(t *rapid.T) {
	of := s.user(t, "whose correlationId")
	_, err := s.vendor.Vend(context.Background(), of, clienttoken.Request{Action: "customer.create"}, noCause)
	if _, refused := errors.AsType[*clienttoken.Refusal](err); err != nil && !refused {
		t.Fatalf("vending customer.create: %v", err)
	}
	correlationID := rapid.SampledFrom([]string{s.vendor.Enrollment.CorrelationID(of), ""}).Draw(t, "correlationId")
	created, err := s.e.dwolla.AddCustomer(emulator.Customer{CorrelationID: correlationID})
	if err != nil {
		t.Skip("Dwolla takes a correlationId once")
	}
	url, err := clienttoken.ParseCustomerID(s.e.api, created.ID)
	if err != nil {
		t.Fatalf("the new Customer: %v", err)
	}
	s.customers = append(s.customers, url)
	if correlationID != "" {
		s.creator[url.ID()] = of.ID
	}
}

// UserNames asks for a token for some Customer.
func (s *story) UserNames(t *rapid.T) {
	user, url := s.user(t, "user"), s.customer(t)
	s.tokens = nil
	vended, err := s.vendor.Vend(context.Background(), user, clienttoken.Request{Action: "customer.read", Customer: url.String()}, noCause)
	if _, refused := errors.AsType[*clienttoken.Refusal](err); err != nil && !refused {
		t.Fatalf("vending: %v", err)
	}
	if (err == nil) != (len(s.tokens) == 1) {
		t.Fatalf("error %v with %d tokens", err, len(s.tokens))
	}
	if err == nil {
		own, found := s.store.Customer(context.Background(), user.ID)
		if found != nil || own != url.ID() || s.tokens[0].Customer != url || vended.Customer != url {
			t.Fatalf("a token for %s by %s, whose Customer is %q", s.tokens[0].Customer, user.ID, own)
		}
		if status, err := s.store.Status(context.Background(), url.ID()); err != nil || clienttoken.CustomerStatus(status).Inactive() {
			t.Fatalf("a token for a Customer that is %q, error %v", status, err)
		}
	}
}

// WebhookArrives sends a new webhook, or an earlier one again.
func (s *story) WebhookArrives(t *rapid.T) {
	if len(s.sent) > 0 && rapid.IntRange(0, 2).Draw(t, "again") == 0 {
		s.next = rapid.SampledFrom(s.sent).Draw(t, "webhook")
	} else {
		topic := rapid.SampledFrom([]string{"customer_created", "customer_created", "customer_suspended", "customer_verified"}).Draw(t, "topic")
		s.next = eventOf(topic, s.customer(t).ID(), rapid.IntRange(0, 100).Draw(t, "seconds ago"))
		s.sent = append(s.sent, s.next)
	}
	if err := s.inbox.Receive(context.Background(), "", nil); err != nil {
		t.Fatalf("receiving: %v", err)
	}
}

// InboxWorks processes some or all events.
func (s *story) InboxWorks(t *rapid.T) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.inbox.Run(ctx)
	}()
	if rapid.Bool().Draw(t, "to the end") {
		for deadline := time.Now().Add(20 * time.Second); ; {
			queue, err := s.store.Backlog(context.Background())
			if err == nil && queue.Depth == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d webhooks wait, error %v", queue.Depth, err)
			}
		}
	}
	stop()
	<-done
	// Leases of the stopped inbox end.
	for {
		held, err := s.store.ClaimEvent(context.Background(), time.Now().Add(time.Hour), 2*time.Hour)
		if errors.Is(err, customerdb.ErrNoEvent) {
			return
		} else if err != nil {
			t.Fatalf("releasing: %v", err)
		}
		defer func() { _ = s.store.PostponeEvent(context.Background(), held.ID, time.Now()) }()
	}
}

// Crash restarts the process.
func (s *story) Crash(t *rapid.T) {
	s.close()
	s.open(t)
}

// linked returns the users by Customer, and checks for one user each.
func (s *story) linked(t *rapid.T) map[string]string {
	users := map[string]string{}
	for after := ""; ; {
		page, err := s.store.List(context.Background(), after, 50)
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		for _, l := range page {
			if other, taken := users[l.CustomerID]; taken {
				t.Fatalf("%s is the Customer of %q and of %q", l.CustomerID, other, l.UserID)
			}
			users[l.CustomerID] = l.UserID
			after = l.UserID
		}
		if len(page) < 50 {
			return users
		}
	}
}

// Check checks the database.
func (s *story) Check(t *rapid.T) {
	users := s.linked(t)
	for _, url := range s.customers {
		user, linked := users[url.ID()]
		byHand, decided := s.byOperator[[2]string{user, url.ID()}]
		if linked && !byHand && (decided || s.creator[url.ID()] != user) {
			t.Fatalf("%s is the Customer of %q, was created with the correlationId of %q, and an operator unlinked it: %v",
				url.ID(), user, s.creator[url.ID()], decided)
		}
	}
	for _, user := range s.users() {
		own, err := s.links.Customer(context.Background(), user)
		in, inErr := s.store.Customer(context.Background(), user.ID)
		if own.ID() != in || errors.Is(err, clienttoken.ErrNoCustomer) != errors.Is(inErr, clienttoken.ErrNoCustomer) {
			t.Fatalf("%q has %q (%v), and %q (%v) is remembered", user.ID, in, inErr, own.ID(), err)
		}
	}
}
