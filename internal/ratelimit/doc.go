// Package ratelimit limits requests per address and per signed-in user: a burst,
// refilled evenly (GCRA, the generic cell rate algorithm of ATM Forum TM 4.0). With
// Redis all replicas share one count. Without Redis, and during its outages, each
// replica counts alone.
//
// The package never authenticates anyone and never turns an outage of Redis into a
// refusal. User ids and addresses never leave it: Redis holds HMACs.
package ratelimit
