// Package clienttoken decides who gets which Dwolla client token. A security
// reviewer finds every rule here.
//
// The vocabulary: a [User] asks for an [Action] on a [CustomerURL] or a
// [BeneficialOwnerURL]. The [Policy] allows actions. [Vendor.Vend] runs the
// checks in order and hands out a [Token].
//
// Promises, most important first:
//
//  1. A user never gets a token for another user's Customer.
//  2. A user never gets a token for an action that the policy does not allow.
//  3. A secret always prints as a mask.
//
// The package never does I/O. It reads no clock, no environment and no HTTP,
// and imports no other package of the service. It reaches the outside world
// through the interfaces declared beside [Vendor].
package clienttoken
