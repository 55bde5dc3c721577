// Package session stores the sessions of users who signed in with OpenID Connect,
// either in the memory of one replica ([Memory]) or in Redis for all replicas
// ([Redis]). Both stores pass the same tests and guarantee the same:
//
//   - The store holds the SHA-256 of a session's id. Reading the store does not
//     let anyone act as a user.
//   - A session ends when it has been idle too long, and at a fixed deadline after
//     the sign-in.
//   - An ended session never comes back, even with requests in flight: a request
//     only changes a session that exists.
//
// The package never sees a request, a cookie or the identity provider.
package session
