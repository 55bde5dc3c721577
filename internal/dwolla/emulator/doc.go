// Package emulator is an in-memory Dwolla API over HTTP. It covers what dropgate and
// the drop-in components call, except transfers, and sends signed webhooks. Tests,
// benchmarks and the sandbox use it in place of api-sandbox.dwolla.com.
//
// It enforces the rules that Dwolla documents, so a client that passes here sends
// valid requests. Tests inject faults with [Fault] and [WebhookFault]. Webhooks go
// to one subscriber ([Emulator.Subscribe]).
//
// It is never part of the server binary. It connects only to its subscriber, writes
// nothing to disk and never logs. It moves no money and verifies no identity. Use
// made-up credentials. All state, pending webhooks included, ends with the process.
// docs/emulator.md lists the enforced rules and the omissions.
package emulator
