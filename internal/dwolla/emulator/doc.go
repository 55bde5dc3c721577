// Package emulator is an in-memory Dwolla API over HTTP: the part of it that
// vends client tokens, and the Customers and beneficial owners these tokens
// are for. Tests, benchmarks and the local sandbox talk to it in the place of
// api-sandbox.dwolla.com.
//
// It is strict where Dwolla documents a rule, so that a client which passes
// here sends what Dwolla wants, and it misbehaves on request ([Fault]), so
// that a client which passes here survives a bad day of Dwolla's. It sends
// signed webhooks to one subscriber ([Emulator.Subscribe]), and those badly too
// ([WebhookFault]).
//
// It is never part of the server binary. It calls no address but the one that
// is subscribed to its webhooks, never writes to disk and never logs; it moves
// no money, checks nobody's identity and needs no real secret: give it made-up
// credentials. Everything it knows is gone with it, webhooks that nobody has
// acknowledged included. docs/emulator.md lists what it enforces and what it leaves
// out.
package emulator
