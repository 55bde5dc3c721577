package clienttoken

import "strings"

// Topic names the kind of a webhook event, in Dwolla's spelling
// (https://developers.dwolla.com/docs/webhook-events). Dwolla has more topics
// than this package lists, and adds new ones.
type Topic string

const (
	// TopicCustomerCreated is the topic of an event that may link a Customer.
	TopicCustomerCreated Topic = "customer_created"
	// OtherTopic stands for every topic without an entry in topics.
	OtherTopic Topic = "other"
)

// topicMeaning says what an event with this topic is about.
type topicMeaning struct {
	topic Topic
	// namesCustomer: the event is about a Customer itself and must name it.
	namesCustomer bool
	// status is the Customer's status after the event. Empty: ask Dwolla.
	status CustomerStatus
}

// topics is the only list of topics. It holds the topics about a Customer itself,
// and those caused by drop-in components. Topics about transfers are left out.
func topics() []topicMeaning {
	return []topicMeaning{
		{TopicCustomerCreated, true, ""},
		{"customer_verified", true, StatusVerified},
		{"customer_reverification_needed", true, StatusRetry},
		{"customer_verification_document_needed", true, StatusDocument},
		{"customer_suspended", true, StatusSuspended},
		{"customer_deactivated", true, StatusDeactivated},
		{"customer_activated", true, ""}, // verified or not: the topic does not say

		{"customer_kba_verification_needed", false, ""},
		{"customer_kba_verification_failed", false, ""},
		{"customer_kba_verification_passed", false, ""},
		{"customer_verification_pending_review", false, ""},
		{"customer_address_verification_failed", false, ""},
		{"customer_verification_document_uploaded", false, ""},
		{"customer_verification_document_approved", false, ""},
		{"customer_verification_document_failed", false, ""},
		{"customer_beneficial_owner_created", false, ""},
		{"customer_beneficial_owner_removed", false, ""},
		{"customer_beneficial_owner_verified", false, ""},
		{"customer_beneficial_owner_reverification_needed", false, ""},
		{"customer_beneficial_owner_verification_document_needed", false, ""},
		{"customer_beneficial_owner_verification_document_uploaded", false, ""},
		{"customer_beneficial_owner_verification_document_approved", false, ""},
		{"customer_beneficial_owner_verification_document_failed", false, ""},
		{"customer_funding_source_added", false, ""},
		{"customer_funding_source_removed", false, ""},
		{"customer_funding_source_verified", false, ""},
		{"customer_funding_source_unverified", false, ""},
		{"customer_funding_source_updated", false, ""},
		{"customer_microdeposits_added", false, ""},
		{"customer_microdeposits_completed", false, ""},
		{"customer_microdeposits_failed", false, ""},
		{"customer_microdeposits_maxattempts", false, ""},
	}
}

// Topics lists the topics with a label of their own.
func Topics() []Topic {
	var all []Topic
	for _, m := range topics() {
		all = append(all, m.topic)
	}
	return all
}

// meaning returns the entry of t, or the zero meaning for an unlisted topic.
func (t Topic) meaning() topicMeaning {
	for _, m := range topics() {
		if m.topic == t {
			return m
		}
	}
	return topicMeaning{}
}

// Label returns t if it is listed, else [OtherTopic]. It bounds the number of
// metric labels, whatever Dwolla sends.
func (t Topic) Label() Topic {
	if t.meaning().topic == "" {
		return OtherTopic
	}
	return t
}

// Status returns the Customer's status implied by the topic alone. It is empty
// where Dwolla has to be asked, as for every unlisted topic.
func (t Topic) Status() CustomerStatus { return t.meaning().status }

// NamesCustomer reports whether an event with this topic must name a Customer.
func (t Topic) NamesCustomer() bool { return t.meaning().namesCustomer }

// StatusTopics lists the topics with a Status.
func StatusTopics() []Topic {
	var found []Topic
	for _, m := range topics() {
		if m.status != "" {
			found = append(found, m.topic)
		}
	}
	return found
}

// MayNameCustomer reports whether the topic may be about a Customer itself, rather
// than about something the Customer has or does with money. Unlisted topics count
// too, since Dwolla adds topics.
func (t Topic) MayNameCustomer() bool {
	subject, found := strings.CutPrefix(string(t), "customer_")
	if !found || subject == "" {
		return false
	}
	for _, other := range []string{
		"balance", "bank_transfer", "beneficial_owner", "card", "exchange", "funding_source", "label", "mass_payment", "microdeposits", "transfer",
		"verification_document_uploaded", "verification_document_approved", "verification_document_failed",
	} {
		if subject == other || strings.HasPrefix(subject, other+"_") {
			return false
		}
	}
	return true
}
