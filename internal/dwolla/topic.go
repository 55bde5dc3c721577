package dwolla

import (
	"slices"
	"strings"
)

// Topic says what has happened, in Dwolla's spelling
// (https://developers.dwolla.com/docs/webhook-events).
type Topic string

// The topics about a Customer itself that this service acts on without asking
// Dwolla, or that link. Dwolla has more of them, and adds to them: see
// [Webhook].
const (
	TopicCustomerCreated                    Topic = "customer_created"
	TopicCustomerVerified                   Topic = "customer_verified"
	TopicCustomerReverificationNeeded       Topic = "customer_reverification_needed"
	TopicCustomerVerificationDocumentNeeded Topic = "customer_verification_document_needed"
	TopicCustomerSuspended                  Topic = "customer_suspended"
	TopicCustomerDeactivated                Topic = "customer_deactivated"
	TopicCustomerActivated                  Topic = "customer_activated"
)

// OtherTopic is the label of every topic that Topics does not list.
const OtherTopic = "other"

// Topics lists the topics that a metric tells apart: those about a Customer,
// and those that the drop-in components cause. Money moving has topics too, and
// is none of this service's business.
func Topics() []Topic {
	return []Topic{
		TopicCustomerCreated, TopicCustomerVerified, TopicCustomerReverificationNeeded, TopicCustomerVerificationDocumentNeeded,
		TopicCustomerSuspended, TopicCustomerDeactivated, TopicCustomerActivated,
		"customer_kba_verification_needed", "customer_kba_verification_failed", "customer_kba_verification_passed",
		"customer_verification_pending_review", "customer_address_verification_failed",
		"customer_verification_document_uploaded", "customer_verification_document_approved", "customer_verification_document_failed",
		"customer_beneficial_owner_created", "customer_beneficial_owner_removed", "customer_beneficial_owner_verified",
		"customer_beneficial_owner_reverification_needed", "customer_beneficial_owner_verification_document_needed",
		"customer_beneficial_owner_verification_document_uploaded", "customer_beneficial_owner_verification_document_approved",
		"customer_beneficial_owner_verification_document_failed",
		"customer_funding_source_added", "customer_funding_source_removed", "customer_funding_source_verified",
		"customer_funding_source_unverified", "customer_funding_source_updated",
		"customer_microdeposits_added", "customer_microdeposits_completed", "customer_microdeposits_failed",
		"customer_microdeposits_maxattempts",
	}
}

// Label is t where Topics lists it, else OtherTopic, so that a metric has a
// bounded number of labels whatever Dwolla sends.
func (t Topic) Label() string {
	if slices.Contains(Topics(), t) {
		return string(t)
	}
	return OtherTopic
}

// aboutCustomer reports whether the topic must name a Customer.
func (t Topic) aboutCustomer() bool {
	switch t {
	case TopicCustomerCreated, TopicCustomerVerified, TopicCustomerReverificationNeeded, TopicCustomerVerificationDocumentNeeded,
		TopicCustomerSuspended, TopicCustomerDeactivated, TopicCustomerActivated:
		return true
	default:
		return false
	}
}

// mayBeAboutCustomer reports whether the topic may be about a Customer itself,
// and not about something that a Customer has, or does with money. Topics that
// Dwolla adds later may be.
func (t Topic) mayBeAboutCustomer() bool {
	what, found := strings.CutPrefix(string(t), "customer_")
	return found && what != "" && !slices.ContainsFunc([]string{
		"balance", "bank_transfer", "beneficial_owner", "card", "exchange", "funding_source", "label", "mass_payment", "microdeposits", "transfer",
		"verification_document_uploaded", "verification_document_approved", "verification_document_failed",
	}, func(other string) bool { return what == other || strings.HasPrefix(what, other+"_") })
}
