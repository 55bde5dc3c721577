package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"dropgate/internal/app"
)

// directory creates a database with the links of alice and bob. It returns the
// service's settings for the database and for enrollment.
func (b *background) directory(ctx context.Context, o options, dwolla []string) ([]string, error) {
	folder, err := os.MkdirTemp("", "dropgate-sandbox-")
	if err != nil {
		return nil, err //nolint:wrapcheck // the error names the folder
	}
	b.closers = append(b.closers, func() error { return os.RemoveAll(folder) })
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	settings := []string{
		"DWOLLA_ENVIRONMENT=sandbox",
		"CUSTOMER_SOURCE=database",
		"DATABASE_URL=sqlite:" + filepath.Join(folder, "links.db"),
		"ENROLLMENT_KEYS=" + base64.StdEncoding.EncodeToString(key),
	}
	std := app.Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}
	for user, id := range map[string]string{"alice": o.alice, "bob": o.bob} {
		if err := app.Customers(ctx, []string{"link", user, id}, append(settings, dwolla...), std); err != nil {
			return nil, fmt.Errorf("%s's Customer: %w", user, err)
		}
	}
	return settings, nil
}

// printCommands prints commands to paste.
func (b *background) printCommands(out io.Writer, public, issuer string, o options) {
	post := func(what, body string) {
		_, _ = fmt.Fprintf(out, "\n# %s\ncurl -s -w '\\n' %s/client-tokens -H \"Authorization: Bearer $(curl -s '%s/token?user=alice')\" -H 'Content-Type: application/json' -d '%s'\n",
			what, public, issuer, body)
	}
	_, _ = fmt.Fprintln(out, "\ndropgate is ready. Paste these commands into another terminal. Ctrl-C stops it.")
	post("alice gets a client token for her own Customer", `{"action":"customer.read"}`)
	post("alice names bob's Customer: refused, CustomerMismatch",
		`{"action":"customer.read","_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/`+o.bob+`"}}}`)
	post("an action outside of the policy: refused, ActionNotAllowed", `{"action":"customer.fundingsources.create"}`)
	_, _ = fmt.Fprintf(out, "\n# the signed-in user, and what her page needs\ncurl -s -w '\\n' %s/session -H \"Authorization: Bearer $(curl -s '%s/token?user=alice')\"\n", public, issuer)
	if b.emulator != nil {
		_, _ = fmt.Fprintf(out, enrollment, issuer, public, "http://"+o.emulatorAddr)
	}
	_, _ = fmt.Fprintf(out, "\n# sign in with a browser: open\n#   %s/auth/login?return_to=/session\n\n", public)
}

// enrollment does the work of a new user's page and drop-in component.
const enrollment = `
# carol is new: she creates her Customer with a client token, and it is linked at once
carol="Authorization: Bearer $(curl -s '%[1]s/token?user=carol')"; json='Content-Type: application/json'
id=$(curl -s %[2]s/session -H "$carol" | sed 's/.*"correlationId":"\([^"]*\)".*/\1/')
token=$(curl -s %[2]s/client-tokens -H "$carol" -H "$json" -d '{"action":"customer.create"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
url=$(curl -si %[3]s/customers -H "Authorization: Bearer $token" -H 'Accept: application/vnd.dwolla.v1.hal+json' -H "$json" -d "{\"firstName\":\"Carol\",\"lastName\":\"Demo\",\"email\":\"carol@example.com\",\"type\":\"personal\",\"correlationId\":\"$id\"}" | tr -d '\r' | sed -n 's/^Location: //p')
curl -s -w '\n' %[2]s/client-tokens -H "$carol" -H "$json" -d "{\"action\":\"customer.read\",\"_links\":{\"customer\":{\"href\":\"$url\"}}}"
`
