package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/handler"
)

// customerParts is everything that knows whose Customer is whose. What the
// configuration does not ask for is nil.
type customerParts struct {
	directory  clienttoken.Directory
	enrollment clienttoken.Enrollment
	webhooks   handler.Webhooks
	records    handler.Links
	notifier   *customer.ChangeNotifier
}

// openCustomers puts it together.
func (a *App) openCustomers(ctx context.Context, registry prometheus.Registerer) (customerParts, error) {
	c := a.config
	if err := a.openStore(ctx); err != nil {
		return customerParts{}, fmt.Errorf("DATABASE_URL: %w", err)
	}
	a.openOutbox(registry)
	notifier := customer.NewChangeNotifier()
	links := customer.NewLinkSource(c.api, a.store, c.CustomerCache)
	links.Notifier = notifier
	source, err := a.source(ctx, links)
	if err != nil {
		return customerParts{}, err
	}
	d := customerParts{notifier: notifier}
	var statuses []customer.StatusSource
	kept := customer.NewWebhookStatus(a.store, c.CustomerCache)
	reread := customer.NewDwollaStatus(a.dwolla, c.StatusInterval)
	if !c.WebhookSecret.IsZero() {
		statuses = append(statuses, kept)
	}
	if c.StatusInterval > 0 {
		statuses = append(statuses, reread)
	}
	d.directory = customer.NewDirectory(customer.DirectoryConfig{
		Source: source, Owners: a.dwolla, Statuses: statuses, Notifier: notifier, Registerer: registry,
	})
	var enrollment *customer.Enrollment
	if !c.EnrollmentKeys.IsZero() {
		enrollment = customer.NewEnrollment(c.enrollment, links, a.store, a.dwolla)
		d.enrollment = enrollment
	}
	if !c.AdminToken.IsZero() {
		d.records = customer.LinkAdmin{API: c.api, Links: links, Store: a.store}
	}
	if c.WebhookSecret.IsZero() {
		return d, nil
	}
	a.inbox = customer.NewInbox(customer.InboxConfig{
		Read:       a.readWebhook,
		API:        c.api,
		Store:      a.store,
		Enrollment: enrollment,
		Dwolla:     a.dwolla,
		Notifier:   notifier,
		Changed: func(userID string, customer clienttoken.CustomerURL) {
			links.Forget(userID)
			kept.Forget(customer)
			reread.Forget(customer)
		},
		Logger:     a.log,
		Registerer: registry,
	})
	d.webhooks = a.inbox
	return d, nil
}

// openStore opens what the service keeps, if it keeps anything.
func (a *App) openStore(ctx context.Context) error {
	if a.config.CustomerSource != "database" && a.config.WebhookSecret.IsZero() {
		return nil
	}
	// A server that takes connections and says nothing must not keep the process
	// from listening, or its orchestrator would start it again and again.
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	store, err := a.config.openDatabase(ctx)
	if store == nil {
		return err
	}
	a.store = store // that it cannot be reached is watched for
	if path, found := strings.CutPrefix(a.config.DatabaseURL.Reveal(), "sqlite:"); found {
		for _, file := range customerdb.FilesOpenToOthers(path) {
			a.log.Warn().Str("file", file).Msgf("DATABASE_URL: other users of this machine can read or write the file: chmod 600 %s", file)
		}
	}
	return nil
}

// databaseSystem names the kind of DATABASE_URL.
func (c Config) databaseSystem() string {
	if c.isPostgres() {
		return "postgres"
	}
	return "sqlite"
}

// openWithin is how long the start waits for a database.
const openWithin = 5 * time.Second

// openDatabase opens the database and brings its schema up to date. Beside the
// error of a server that cannot be reached now there is a database, which has to
// be migrated later.
func (c Config) openDatabase(ctx context.Context) (store *customerdb.Database, err error) {
	if c.isPostgres() {
		store, err = customerdb.OpenPostgres(c.DatabaseURL)
	} else {
		store, err = customerdb.OpenSQLite(ctx, strings.TrimPrefix(c.DatabaseURL.Reveal(), "sqlite:"))
		ctx = context.WithoutCancel(ctx) // a file does not hang, and the work has a limit of its own
	}
	if err != nil {
		return nil, err
	}
	store.SetUserIDs(c.userIDs())
	err = store.Migrate(ctx)
	if err != nil && (errors.Is(err, customerdb.ErrSchema) || !c.isPostgres()) {
		_ = store.Close()
		return nil, err
	}
	return store, err
}

// migrateEvery is how often a database is tried that could not be reached at
// the start.
const migrateEvery = 2 * time.Second

// foldEvery is how often e-mail addresses with capitals are looked for. A replica of
// an earlier version may write them during a roll-out, and a command without
// AUTH_USER_CLAIM at any time.
const foldEvery = time.Minute

// migrate brings the database up to date, once it can be reached, and keeps it so.
func (a *App) migrate(ctx context.Context) {
	for told := ""; ctx.Err() == nil; {
		err := a.store.Migrate(ctx)
		next := migrateEvery
		switch {
		case err == nil && !a.config.userIDs().Emails:
			return
		case err == nil:
			next, told = foldEvery, ""
		case errors.Is(err, customerdb.ErrSchema) && err.Error() != told:
			told = err.Error()
			a.log.Error().Err(err).Msg("DATABASE_URL: the database cannot be used")
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
		}
	}
}

// source opens what says which Customer is a user's.
func (a *App) source(ctx context.Context, links *customer.LinkSource) (customer.Source, error) {
	c := a.config
	switch c.CustomerSource {
	case "claim":
		return customer.Claim{API: c.api, Name: c.CustomerClaim}, nil
	case "lookup":
		lookup, err := customer.NewLookup(customer.LookupConfig{
			API: c.api, URL: c.LookupURL, Token: c.LookupToken, Transport: http.DefaultTransport,
		})
		if err != nil {
			return nil, fmt.Errorf("CUSTOMER_LOOKUP_URL: %w", err)
		}
		return customer.NewCachedSource(lookup, c.CustomerCache), nil
	case "query":
		return a.openQuery(ctx)
	}
	return links, nil
}

// openQuery opens the application's own database. A statement that does not fit
// is an error now if the server can be asked, and for each user else.
func (a *App) openQuery(ctx context.Context) (customer.Source, error) {
	c := a.config
	var err error
	if a.query, err = customer.NewQuery(c.DatabaseURL, c.CustomerQuery, c.api); err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	a.query.SetUserIDs(c.userIDs())
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := a.query.Check(ctx); errors.Is(err, customer.ErrQuery) {
		return nil, fmt.Errorf("CUSTOMER_QUERY: %w", err)
	}
	// That it cannot be reached is watched for.
	return customer.NewCachedSource(a.query, c.CustomerCache), nil
}

// readWebhook says in the inbox's words what Dwolla tells.
func (a *App) readWebhook(signature string, body []byte) (customerdb.WebhookEvent, error) {
	hook, err := dwolla.ReadWebhook(a.config.api, a.config.WebhookSecret, signature, body)
	if err != nil {
		code := clienttoken.BadRequest
		if errors.Is(err, dwolla.ErrSignature) {
			code = clienttoken.Unauthenticated
		}
		return customerdb.WebhookEvent{}, &clienttoken.Refusal{Code: code, Reason: err.Error()}
	}
	return customerdb.WebhookEvent{ID: hook.ID, Topic: hook.Topic.Label(), CustomerID: hook.Customer.ID(), Created: hook.Created}, nil
}

// openOutbox hands changes of links to the audit trail.
func (a *App) openOutbox(registry prometheus.Registerer) {
	if a.store == nil {
		return
	}
	a.outbox = customerdb.NewOutbox(customerdb.OutboxConfig{
		Store: a.store, Write: a.auditChange, Logger: a.log, Registerer: registry,
	})
}

// auditChange writes the audit entry of a changed link.
func (a *App) auditChange(ctx context.Context, c customerdb.LinkChange) error {
	event := audit.Link
	if c.Kind == customerdb.Unlinked {
		event = audit.Unlink
	}
	return a.trail.Write(ctx, &audit.Entry{
		Event:          event,
		ID:             c.ID,
		RequestID:      c.Cause.RequestID,
		ProxyRequestID: c.Cause.ProxyRequestID,
		ClientIP:       c.Cause.ClientIP,
		UserAgent:      c.Cause.UserAgent,
		Mode:           c.Cause.Mode,
		Operator:       c.Cause.Operator,
		User:           c.UserID,
		Customer:       c.CustomerID,
		Outcome:        string(c.Kind),
		Reason:         c.Reason,
		ChangedAt:      c.At,
	})
}
