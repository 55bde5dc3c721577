// Package conformance tests the Dwolla client and the Dwolla emulator against
// Dwolla's own OpenAPI description. It is a module of its own, so the server's module
// does not depend on the validator.
//
// It holds tests only. The description is not part of it: docs/emulator.md says where
// the tests look for it.
package conformance
