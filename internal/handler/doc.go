// Package handler is HTTP in and out: the routes, what every request passes on
// its way, and the one place where an error becomes an answer. Begin with
// routes.go: it shows the whole service on one screen, in the order of the
// contract (api/openapi.yaml).
//
// The package never decides who gets a token (internal/clienttoken does), never
// checks a credential (internal/auth does), and never talks to Dwolla or a
// database. No error text of another room reaches a caller: the caller gets a
// code and a fixed sentence, the log gets the reason.
package handler
