package main

import (
	"bytes"
	"fmt"
	"io"
)

// printEmulator says how to use the emulator alone.
func printEmulator(out io.Writer, root string, personas []persona) {
	_, _ = fmt.Fprintf(out, `Dwolla's API is emulated at %[1]s. Ctrl-C stops it.
Point DWOLLA_BASE_URL, or the base URL of any Dwolla client, at it. The key is %[2]s, the secret %[3]s.

# an access token
curl -s -u %[2]s:%[3]s -d grant_type=client_credentials %[1]s/token

# a Customer
curl -s %[1]s/customers/%[4]s -H 'Accept: application/vnd.dwolla.v1.hal+json' -H "Authorization: Bearer $(curl -s -u %[2]s:%[3]s -d grant_type=client_credentials %[1]s/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')"

`, root, demoClientID, demoClientSecret, demoAlice)
	for _, p := range personas {
		if p.Customer != "" {
			_, _ = fmt.Fprintf(out, "%s  %s: %s\n", p.Customer, p.User, p.Description)
		}
	}
}

// printCommands prints where the page is, and commands to paste. It writes once, so that
// no log line of the server comes between.
func (b *background) printCommands(out io.Writer, public string) {
	service := public + basePath
	var text bytes.Buffer
	post := func(what, user, body string) {
		_, _ = fmt.Fprintf(&text, "\n# %s\ncurl -s -w '\\n' %s/client-tokens -H \"Authorization: Bearer $(curl -s '%s/token?user=%s')\" -H 'Content-Type: application/json' -d '%s'\n",
			what, service, b.issuer, user, body)
	}
	_, _ = fmt.Fprintf(&text, "\ndropgate is ready. Open %s/ in a browser, or paste these commands into another terminal. Ctrl-C stops it.\n", public)
	post("alice gets a client token for her own Customer", "alice", `{"action":"customer.read"}`)
	post("alice names bob's Customer: refused, CustomerMismatch", "alice",
		`{"action":"customer.read","_links":{"customer":{"href":"`+sandboxAPI+`/customers/`+b.options.bob+`"}}}`)
	post("bob may only read: refused, ActionNotAllowed", "bob", `{"action":"customer.update"}`)
	_, _ = fmt.Fprintf(&text, "\n# the signed-in user, and what her page needs\ncurl -s -w '\\n' %s/session -H \"Authorization: Bearer $(curl -s '%s/token?user=alice')\"\n", service, b.issuer)
	if b.emulator != nil {
		_, _ = fmt.Fprintf(&text, enrollment, b.issuer, service, b.apiRoot)
	}
	_, _ = fmt.Fprintf(&text, "\n# sign in with a browser: open\n#   %s/auth/login?return_to=%s/session\n\n", service, basePath)
	_, _ = out.Write(text.Bytes())
}

// enrollment does the work of a new user's page and drop-in component.
const enrollment = `
# carol is new: she creates her Customer with a client token, and it is linked at once
carol="Authorization: Bearer $(curl -s '%[1]s/token?user=carol')"; json='Content-Type: application/json'
id=$(curl -s %[2]s/session -H "$carol" | sed 's/.*"correlationId":"\([^"]*\)".*/\1/')
token=$(curl -s %[2]s/client-tokens -H "$carol" -H "$json" -d '{"action":"customer.create"}' | sed 's/.*"token":"\([^"]*\)".*/\1/')
url=$(curl -si %[3]s/customers -H "Authorization: Bearer $token" -H 'Accept: application/vnd.dwolla.v1.hal+json' -H "$json" -d "{\"firstName\":\"Carol\",\"lastName\":\"Demo\",\"email\":\"carol@example.com\",\"type\":\"unverified\",\"correlationId\":\"$id\"}" | tr -d '\r' | sed -n 's/^Location: //p')
curl -s -w '\n' %[2]s/client-tokens -H "$carol" -H "$json" -d "{\"action\":\"customer.read\",\"_links\":{\"customer\":{\"href\":\"$url\"}}}"
`
