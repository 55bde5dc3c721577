// Package faults holds the fault suite: the real server binary, the emulator of
// Dwolla, the demo identity provider, a real Redis and a real PostgreSQL, with
// faults on the connections between them while users ask for client tokens. It
// is nothing but tests, behind the build tag faults: `make test-faults`.
// docs/faults.md says how to read its table.
//
// It never leaves 127.0.0.1, never stops a process that it did not start, and
// keeps nothing on the servers at TEST_REDIS_URL and TEST_POSTGRES_URL: a fault
// of theirs is one of the connection to them.
package faults
