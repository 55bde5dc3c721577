// Package dwolla is the client of Dwolla's API: the application's own access
// token and the few calls that the service makes with it. It speaks the words
// of internal/clienttoken, and turns every fault of Dwolla into a
// *clienttoken.Failure that says whether Dwolla refused, was too slow or was
// away. [ReadWebhook] verifies and reads what Dwolla sends by itself; it keeps
// nothing, so whether an event is new is for others to know.
//
// The package never decides who may have what, never forwards anything that a
// browser sent, never follows a redirect, and never logs or returns a body or
// a token of Dwolla's: of an answer only the status, Dwolla's code and its
// X-Request-Id are kept.
//
// What is known of Dwolla: https://developers.dwolla.com/docs/api-reference.
package dwolla
