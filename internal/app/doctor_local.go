package app

import (
	"context"
	"errors"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// renewBefore is when a certificate should have been renewed.
const renewBefore = 7 * 24 * time.Hour

// tryCertificates reads the certificates of the listeners.
func (d *doctor) tryCertificates(context.Context) []verdict {
	var found []verdict
	for _, pair := range []struct {
		name  string
		files pairFiles
	}{{"TLS_CERT_FILE", d.config.publicPair()}, {"ADMIN_TLS_CERT_FILE", d.config.adminPair()}} {
		if pair.files.cert == "" {
			continue
		}
		found = append(found, certificateFinding(pair.name, pair.files, time.Now()))
	}
	return found
}

func certificateFinding(name string, files pairFiles, now time.Time) verdict {
	content, err := files.read()
	if err != nil {
		return bad("check the files and their permissions", "%s cannot be read", name)
	}
	parsed, err := files.parse(content)
	if err != nil {
		return bad("the key must belong to the certificate, both in PEM", "%s and its key do not fit together", name)
	}
	until := parsed.Leaf.NotAfter
	switch {
	case now.After(until):
		return bad("renew it; the service loads a new file by itself", "%s has expired on %s", name, until.UTC().Format(time.DateOnly))
	case now.Before(parsed.Leaf.NotBefore):
		return bad("check the clock of this machine", "%s is not valid yet", name)
	case until.Sub(now) < renewBefore:
		return bad("renew it; the service loads a new file by itself", "%s expires on %s", name, until.UTC().Format(time.DateOnly))
	}
	return good("%s is valid until %s", name, until.UTC().Format(time.DateOnly))
}

// openLinks opens the service's own links, in PostgreSQL only: opening a file of SQLite
// could change it.
func (d *doctor) openLinks(_ context.Context, user func(string) clienttoken.User) (openedSource, error) {
	none := func() error { return nil }
	if !d.config.isPostgres() {
		return openedSource{func(context.Context, string) (clienttoken.CustomerURL, error) {
			return clienttoken.CustomerURL{}, &clienttoken.Failure{
				Code: clienttoken.Unavailable, Err: errors.New("the file is left alone"), Remedy: "use server customers show USER, which opens the file",
			}
		}, none}, nil
	}
	store, err := d.config.openPostgres()
	if err != nil {
		return openedSource{}, err
	}
	links := customer.NewLinkSource(d.config.api, store, 0)
	return openedSource{func(ctx context.Context, id string) (clienttoken.CustomerURL, error) {
		return links.Customer(ctx, user(id))
	}, store.Close}, nil
}
