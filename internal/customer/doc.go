// Package customer answers one question: which Customer is this user's?
//
// [Claim] reads the answer from what the sign-in says about the user.
// [Database] looks it up in the service's own table of links, kept by a
// [Store]; [SQLite] is one. Both are a clienttoken.Directory.
//
// What is promised here, in this order:
//
//  1. A user has one Customer at most, and a Customer has one user at most.
//     The database's own constraints say so, whatever runs at the same time.
//  2. "This user has no Customer" is said only when it is known. Whatever is
//     not understood or cannot be reached is a *clienttoken.Failure.
//
// The package believes the sign-in and its own table, and nobody else: it
// never sees a request, so a browser cannot tell it anything. It never calls
// Dwolla, decides nothing about actions, logs nothing and remembers nothing
// between two calls.
package customer
