package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/audit"
	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla"
	"dropgate/internal/handler"
	"dropgate/internal/notice"
	"dropgate/internal/rotation"
)

// customerParts are the parts for links between users and Customers. A part is nil
// if the configuration does not need it.
type customerParts struct {
	directory  clienttoken.Directory
	enrollment clienttoken.Enrollment
	webhooks   handler.Webhooks
	records    handler.Links
	notifier   *customer.ChangeNotifier
}

// openCustomers builds them.
func (a *App) openCustomers(ctx context.Context, registry prometheus.Registerer) (customerParts, error) {
	c := a.config
	if err := a.openStore(ctx); err != nil {
		return customerParts{}, fmt.Errorf("DATABASE_URL: %w", err)
	}
	a.openOutbox(registry)
	notifier := customer.NewChangeNotifier()
	links := customer.NewLinkSource(c.api, a.store, c.CustomerCache)
	links.Notifier = notifier
	links.Announce = func(userID string) { a.notices.Send(notice.Notice{Topic: userTopic, Name: userID}) }
	source, err := a.source(ctx, links)
	if err != nil {
		return customerParts{}, err
	}
	if a.query != nil {
		a.query.ObservePool(registry)
	}
	d := customerParts{notifier: notifier}
	var statuses []customer.StatusSource
	kept := customer.NewWebhookStatus(a.store, c.CustomerCache)
	reread := customer.NewDwollaStatus(a.dwolla, c.StatusInterval)
	reread.Changed = a.announceStatus
	if !c.WebhookSecret.IsZero() {
		statuses = append(statuses, kept)
	}
	a.caches = caches{links: links, kept: kept, reread: reread, notifier: notifier, rechecks: make(chan struct{}, maxRechecks)}
	if c.StatusInterval > 0 {
		statuses = append(statuses, reread)
	}
	d.directory = customer.NewDirectory(customer.DirectoryConfig{
		Source: source, Owners: a.dwolla, Statuses: statuses, Notifier: notifier, Registerer: registry,
	})
	if !c.EnrollmentKeys.IsZero() {
		a.enrollment = customer.NewEnrollment(c.enrollment, links, a.store, a.dwolla)
		d.enrollment = a.enrollment
	}
	if !c.AdminToken.IsZero() && c.CustomerSource == "database" {
		d.records = customer.LinkAdmin{API: c.api, Links: links, Store: a.store}
	}
	if !c.WebhookSecret.IsZero() {
		a.openInbox(registry)
		d.webhooks = a.inbox
	}
	return d, nil
}

// openInbox opens the queue of webhooks.
func (a *App) openInbox(registry prometheus.Registerer) {
	a.inbox = customer.NewInbox(customer.InboxConfig{
		Read:       a.readWebhook,
		API:        a.config.api,
		Store:      a.store,
		Enrollment: a.enrollment,
		Dwolla:     a.dwolla,
		Notifier:   a.caches.notifier,
		Tracer:     a.tracer,
		Changed: func(userID string, customer clienttoken.CustomerURL) {
			a.caches.links.Changed(userID)
			a.caches.kept.Forget(customer)
			a.caches.reread.Forget(customer)
			a.announceStatus(customer)
		},
		Logger:     a.log,
		Registerer: registry,
	})
}

// openStore opens the database, if the service keeps data of its own.
func (a *App) openStore(ctx context.Context) error {
	if !a.config.keepsData() {
		return nil
	}
	// A server that accepts connections but never answers must not keep the process
	// from listening. Its orchestrator would restart it again and again.
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	store, err := a.config.openDatabase(ctx)
	if store == nil {
		return err
	}
	a.store = store // watch reports an outage
	if path, found := strings.CutPrefix(a.config.DatabaseURL.Reveal(), "sqlite:"); found {
		for _, file := range customerdb.FilesOpenToOthers(path) {
			a.log.Warn().Str("file", file).Msgf("DATABASE_URL: other users of this machine can read or write the file; run chmod 600 %s", file)
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

// openDatabase opens the database and migrates its schema. If the server is
// unreachable, or `server migrate` has to run first, it returns an error and a
// database. The caller must migrate that one later.
func (c Config) openDatabase(ctx context.Context) (store *customerdb.Database, err error) {
	if c.isPostgres() {
		store, err = c.openPostgres()
	} else {
		store, err = customerdb.OpenSQLite(ctx, strings.TrimPrefix(c.DatabaseURL.Reveal(), "sqlite:"))
		ctx = context.WithoutCancel(ctx) // the work has a timeout of its own, and a file does not hang
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

func (c Config) openPostgres() (*customerdb.Database, error) {
	store, err := customerdb.OpenPostgres(c.DatabaseURL)
	if err != nil {
		return nil, err
	}
	if c.DatabaseMax != 0 {
		store.SetMaxConnections(c.DatabaseMax)
	}
	if c.DatabaseSchema == migrateByJob {
		store.LeaveSchema()
	}
	return store, nil
}

// migrateEvery is how often to try a database that could not be reached at the
// start.
const migrateEvery = 2 * time.Second

// foldEvery is how often to look for e-mail addresses with capitals. An older
// replica may write them during a rollout, and a command without AUTH_USER_CLAIM at
// any time.
const foldEvery = time.Minute

// migrate migrates the database once it can be reached, and folds e-mail addresses
// from then on.
func (a *App) migrate(ctx context.Context) {
	for logged := ""; ctx.Err() == nil; {
		err := a.store.Migrate(ctx)
		next := migrateEvery
		switch {
		case err == nil && !a.config.userIDs().Emails:
			return
		case err == nil:
			next, logged = foldEvery, ""
		case errors.Is(err, customerdb.ErrSchema) && err.Error() != logged:
			logged = err.Error()
			a.log.Error().Err(err).Msg("DATABASE_URL: the database cannot be used")
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
		}
	}
}

// source opens the source of links.
func (a *App) source(ctx context.Context, links *customer.LinkSource) (customer.Source, error) {
	c := a.config
	switch c.CustomerSource {
	case "claim":
		return customer.Claim{API: c.api, Name: c.CustomerClaim}, nil
	case "lookup":
		var err error
		a.lookup, err = customer.NewLookup(customer.LookupConfig{
			API: c.api, URL: c.LookupURL, Token: c.LookupToken, Transport: a.egress, Refused: a.refusedOnce("CUSTOMER_LOOKUP_TOKEN"),
			Outcome: a.lookupCalls.note,
		})
		if err != nil {
			return nil, fmt.Errorf("CUSTOMER_LOOKUP_URL: %w", err)
		}
		return customer.NewCachedSource(a.lookup, c.CustomerCache), nil
	case "query":
		return a.openQuery(ctx)
	}
	return links, nil
}

// openQuery opens the application's database. An unfit statement is an error at
// once if the server answers, and for each user otherwise.
func (a *App) openQuery(ctx context.Context) (customer.Source, error) {
	c := a.config
	var err error
	if a.query, err = customer.NewQuery(c.DatabaseURL, c.CustomerQuery, c.api); err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	a.query.SetUserIDs(c.userIDs())
	if c.DatabaseMax != 0 {
		a.query.SetMaxConnections(c.DatabaseMax)
	}
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if err := a.query.Check(ctx); errors.Is(err, customer.ErrQuery) {
		return nil, fmt.Errorf("CUSTOMER_QUERY: %w", err)
	}
	// watch reports an outage.
	return customer.NewCachedSource(a.query, c.CustomerCache), nil
}

// readWebhook verifies a webhook and converts it for the inbox. The secret of each
// present subscription is good.
func (a *App) readWebhook(signature string, body []byte) (customerdb.WebhookEvent, error) {
	hook, err := dwolla.Webhook{}, dwolla.ErrSignature
	for _, secret := range rotation.Values(a.live.Load().WebhookSecret) {
		if hook, err = dwolla.ReadWebhook(a.config.api, secret, signature, body); !errors.Is(err, dwolla.ErrSignature) {
			break
		}
	}
	if err != nil {
		code := clienttoken.BadRequest
		if errors.Is(err, dwolla.ErrSignature) {
			code = clienttoken.Unauthenticated
		}
		return customerdb.WebhookEvent{}, &clienttoken.Refusal{Code: code, Reason: err.Error()}
	}
	return customerdb.WebhookEvent{ID: hook.ID, Topic: hook.Topic.Label(), CustomerID: hook.Customer.ID(), Created: hook.Created}, nil
}

// openOutbox opens the outbox, which writes changes of links to the audit trail.
func (a *App) openOutbox(registry prometheus.Registerer) {
	if a.store == nil {
		return
	}
	a.store.ObservePools(registry)
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
		TraceID:        c.Cause.TraceID,
	})
}
