// Package ratelimit says how often one address, and one signed-in user, may
// ask: a burst, refilled evenly (GCRA, the generic cell rate algorithm of ATM
// Forum TM 4.0). With Redis all replicas count together; without, and while
// Redis does not answer, each counts by itself.
//
// The package never decides who somebody is, and never turns an outage of Redis
// into a refusal. No name of a user and no address leaves it: Redis holds HMACs.
package ratelimit
