// Package faults holds the fault suite. It runs the real server binary with a Dwolla
// emulator, a demo identity provider, Redis and PostgreSQL, and breaks the connections
// between them while users ask for client tokens. It contains only tests, behind the
// build tag faults: run `make test-faults`. docs/faults.md explains the results.
//
// It never leaves 127.0.0.1 and never stops a process of others. On the servers at
// TEST_REDIS_URL and TEST_POSTGRES_URL it leaves nothing behind. It only breaks the
// connections to them.
package faults
