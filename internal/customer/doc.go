// Package customer finds a user's Customer and keeps that answer correct.
//
// A [Source] finds it: [Claim] in the sign-in, [LinkSource] in the service's own
// database, [Lookup] and [Query] at the application. [Directory] adds the Customer's
// status and beneficial owners, and implements clienttoken.Directory. [Enrollment]
// links a Customer created in the browser. [Inbox] processes Dwolla's webhooks.
// Package customerdb stores it all.
//
// The package promises, in this order:
//
//  1. A user has at most one Customer, and a Customer at most one user. Database
//     constraints enforce it, however many replicas write.
//  2. A link needs an operator's decision, or a Customer whose correlationId at
//     Dwolla belongs to the user. The browser's word proves nothing.
//  3. ErrNoCustomer means the source has confirmed it. Everything unreadable or
//     unreachable is a *clienttoken.Failure.
//  4. A cached answer is never used after its lifetime (docs/decisions/0012), and
//     an acknowledged webhook is never lost (0011).
//
// The package never sees an HTTP request, never decides about actions, and never vends
// tokens.
package customer
