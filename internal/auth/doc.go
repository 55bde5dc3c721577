// Package auth answers one question: who is this? It reads the credentials of
// a request and returns a [Session], or says that there are none, that they are
// bad, or that this cannot be known now.
//
// A [Chain] asks its modes in order. The first mode whose kind of credential
// the request carries decides: a bad credential is refused and never falls
// through to the next mode, because then whoever can break a credential could
// choose who checks it.
//
// The package never decides what a user may do, never knows a Customer, and
// never logs or returns a credential: a rejection names the reason, not the
// token.
package auth
