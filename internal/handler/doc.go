// Package handler is the HTTP side of the service: routes, middleware, decoding
// and encoding. It holds the only mapping from an error to a response. Begin with
// routes.go, which lists every route in the order of the contract
// (api/openapi.yaml).
//
// The package never decides who gets a token (internal/clienttoken does), never
// checks a credential (internal/auth does), and never talks to Dwolla or a
// database. It never shows the text of another package's error to a caller: the
// caller gets a code and a fixed message, the log gets the reason.
// docs/errors.md lists the kinds of error.
package handler
