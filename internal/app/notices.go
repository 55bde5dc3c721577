package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
	"dropgate/internal/notice"
	"dropgate/internal/rotation"
)

// The topics of notices, with what their names name.
const (
	userTopic     = "user"     // a user's id: the link has changed
	customerTopic = "customer" // a Customer's id: the status has changed
	sessionTopic  = "session"  // the name of a session in Redis: it has ended
)

// maxRechecks bounds the reads for requests that wait for Dwolla while another replica
// changes something.
const maxRechecks = 16

// caches hold values that other replicas may change.
type caches struct {
	links    *customer.LinkSource
	kept     *customer.WebhookStatus
	reread   *customer.DwollaStatus
	notifier *customer.ChangeNotifier
	rechecks chan struct{} // has room for one more read
}

// openNotices returns the bus to the other replicas. It carries hints only, so a
// replica with another secret is no fault: see [App.forgetAll].
func (a *App) openNotices(registry prometheus.Registerer) *notice.Bus {
	secrets := a.config.clientSecrets()
	bus := notice.New(notice.Config{
		Client:     a.redis,
		Channel:    "dropgate:notices:" + a.config.redisScope(),
		Secret:     secrets[0],
		Receive:    a.learn,
		Missed:     a.forgetAll,
		Logger:     a.log,
		Registerer: registry,
	})
	bus.Rotate(secrets...)
	return bus
}

// clientSecrets returns the values of DWOLLA_CLIENT_SECRET. All replicas know them, so
// what they share in Redis derives from the first one.
func (c Config) clientSecrets() [][]byte {
	var secrets [][]byte
	for _, value := range rotation.Values(c.ClientSecret) {
		secrets = append(secrets, []byte(value.Reveal()))
	}
	return secrets
}

// redisScope names this service among those that share a Redis.
func (c Config) redisScope() string {
	sum := sha256.Sum256([]byte("dropgate 1\x00" + c.api.Root() + "\x00" + c.ClientID))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// learn drops what a notice of another replica makes stale.
func (a *App) learn(n notice.Notice) {
	switch n.Topic {
	case userTopic:
		a.caches.links.Forget(n.Name)
		if a.config.CustomerSource != "database" { // of a replica with other settings
			return
		}
		a.caches.recheck(func(ctx context.Context) { a.caches.links.Recheck(ctx, n.Name) })
	case customerTopic:
		if url, err := clienttoken.ParseCustomerID(a.config.api, n.Name); err == nil {
			a.learnStatus(url)
		}
	case sessionTopic:
		if a.signIn.sessions != nil {
			a.signIn.sessions.EndedElsewhere(n.Name)
		}
	}
}

// learnStatus drops the statuses of a Customer. The sender of the notice may have other
// settings.
func (a *App) learnStatus(url clienttoken.CustomerURL) {
	a.caches.kept.Forget(url)
	a.caches.reread.Forget(url)
	a.caches.recheck(func(ctx context.Context) {
		if a.inbox != nil {
			a.caches.kept.Recheck(ctx, url, a.caches.notifier)
		}
		if a.config.StatusInterval > 0 {
			a.caches.reread.Recheck(ctx, url, a.caches.notifier)
		}
	})
}

// announceStatus announces a changed status to the other replicas.
func (a *App) announceStatus(customer clienttoken.CustomerURL) {
	a.notices.Send(notice.Notice{Topic: customerTopic, Name: customer.ID()})
}

// recheck reads in the background, because learn must return soon.
func (c caches) recheck(read func(context.Context)) {
	select {
	case c.rechecks <- struct{}{}:
	default: // the request keeps what it knew when it began
		return
	}
	go func() {
		defer func() { <-c.rechecks }()
		ctx, cancel := context.WithTimeout(context.Background(), openWithin)
		defer cancel()
		read(ctx)
	}()
}

// forgetAll drops every cached answer that another replica may have changed.
func (a *App) forgetAll() {
	a.caches.links.ForgetAll()
	a.caches.kept.ForgetAll()
	a.caches.reread.ForgetAll()
}
