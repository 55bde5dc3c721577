// Package customer answers one question: which Customer is this user's?
//
// A [Source] answers it: [Claim] from what the sign-in says, [Links] from the
// service's own [Database] in SQLite or PostgreSQL, [Lookup] and [Query] by
// asking the application. [Directory] puts a source together with what is known
// of the Customer's status and of its beneficial owners; it is the
// clienttoken.Directory. [Enrollment] makes a Customer that was created in a
// browser its user's own, and [Inbox] takes in what Dwolla tells of Customers.
//
// What is promised here, in this order:
//
//  1. A user has one Customer at most, and a Customer has one user at most.
//     The database's own constraints say so, whatever runs at the same time.
//  2. A Customer becomes a user's own by an operator's word, or because Dwolla
//     says that it was created with that user's correlationId. A browser's word
//     counts for nothing.
//  3. "This user has no Customer" is said only when it is known. Whatever is
//     not understood or cannot be reached is a *clienttoken.Failure.
//  4. What is remembered is never older than its life (docs/decisions/0012), and
//     a webhook that was acknowledged is never lost (0011).
//
// The package never sees a request, decides nothing about actions, and hands
// out no tokens.
package customer
