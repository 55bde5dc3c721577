// Package clienttoken decides who gets which Dwolla client token. It is the
// heart of the service: a reviewer who reads this package has read every rule.
//
// The words are [Action] and [Component] (what a drop-in component may ask
// for), [CustomerURL] and [BeneficialOwnerURL] (for whom), [User] (who asks),
// [Policy] (what is allowed) and [Token] (what is handed out). [Vendor.Vend]
// holds the order of the checks, and nothing else in the service does.
//
// What is promised here, in this order:
//
//  1. No user ever gets a token for another user's Customer.
//  2. No token for an action that the policy does not allow this user.
//  3. A secret prints as a mask, whichever way it is printed.
//
// The package never does I/O, reads no clock, no environment and no HTTP, and
// imports no other room: what it needs from the world it asks for through the
// two interfaces beside [Vendor].
package clienttoken
