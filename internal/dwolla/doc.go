// Package dwolla is the client of Dwolla's API: the application's own access
// token and the few calls the service makes with it. It uses the types of
// internal/clienttoken, and turns every fault of Dwolla into a
// *clienttoken.Failure: refused, too slow, or unavailable. [ReadWebhook] verifies
// and reads a webhook. It keeps no state, so callers detect repeated events.
//
// The package never decides who may do something, never forwards browser input,
// and never follows a redirect. It never logs or returns Dwolla's bodies or
// tokens. From a failed call it keeps the status, Dwolla's code and its
// X-Request-Id.
//
// Reference: https://developers.dwolla.com/docs/api-reference.
package dwolla
