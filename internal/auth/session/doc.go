// Package session keeps the sessions of users who signed in with OpenID
// Connect: in the memory of one replica ([Memory]), or in Redis for all of them
// ([Redis]). Both keep the same promises, and one suite of tests holds them to
// it:
//
//   - A session is known by the SHA-256 of its id. Who reads the store learns no
//     id, and cannot be anybody.
//   - It ends a while after it was last used, and at the latest a fixed time
//     after the sign-in, which nothing moves.
//   - One that was ended never comes back, whatever request is in flight: using
//     a session only ever changes one that is there.
//
// The package never sees a request, a cookie or the identity provider.
package session
