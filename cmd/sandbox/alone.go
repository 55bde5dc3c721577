package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"dropgate/internal/clienttoken"
)

// publicURL is the page's URL for browsers.
func (o options) publicURL() string { return cmp.Or(o.public, publicURL(o.httpAddr)) }

// runProvider runs the demo identity provider alone.
func (b *background) runProvider(ctx context.Context, out io.Writer) error {
	if err := b.startProvider(ctx, b.options.publicURL()); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "the identity provider is at %s\n", b.issuer)
	<-ctx.Done()
	return nil
}

// runPage runs the demo page alone, before a service elsewhere. It links the demo users
// to their Customers first, as an operator would.
func (b *background) runPage(ctx context.Context, out io.Writer) error {
	o := b.options
	if o.apiForBrowsers == sandboxAPI {
		b.personas = withOwnCustomers(atDwolla(b.personas))
	}
	b.personas = withoutPolicies(b.personas)
	directory := operator{admin: o.admin, token: clienttoken.NewSecret(o.adminToken)}
	for _, p := range b.personas {
		if p.Customer == "" {
			continue
		}
		if err := directory.link(ctx, p.User, p.Customer); err != nil {
			return fmt.Errorf("linking %s's Customer: %w", p.User, err)
		}
	}
	door, err := listen(ctx, o.httpAddr, "-http-addr")
	if err != nil {
		return err
	}
	b.closers = append(b.closers, door.Close)
	public := cmp.Or(o.public, publicURL(door.Addr().String()))
	issuer := cmp.Or(o.providerIssuer, publicURL(o.providerAddr))
	provider := cmp.Or(o.providerForBrowsers, issuer)
	f := &front{
		public: public, service: hostOf(o.service), issuer: provider, apiRoot: o.apiForBrowsers, linkRoot: o.links, dwollaWeb: o.dwollaWeb,
		demo: &demo{
			roster: &roster{personas: b.personas},
			faults: &faults{},
			attacks: &attacks{
				service: public + basePath, issuer: provider, stranger: strangerOf(public),
				transport: rerouted(map[string]string{hostOf(public): door.Addr().String(), hostOf(provider): hostOf(issuer)}),
			},
			entries: directory,
		},
	}
	pages, err := f.handler()
	if err != nil {
		return err
	}
	b.serve(door, pages)
	_, _ = fmt.Fprintf(out, "the demo page is at %s/, the service behind it at %s\n", strings.TrimSuffix(public, "/"), o.service)
	<-ctx.Done()
	return nil
}
