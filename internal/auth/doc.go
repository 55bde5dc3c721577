// Package auth authenticates requests. It reads the credentials of a request and
// returns a [Session]. Otherwise its error distinguishes missing credentials, bad
// credentials, and an outage.
//
// A [Chain] asks its modes in order. The first mode that finds a credential of its
// kind decides. A bad credential never falls through to the next mode, or an
// attacker could choose the mode by breaking a credential.
//
// The package never decides what a user may do, and never knows a Customer. It
// never logs or returns a credential.
package auth
