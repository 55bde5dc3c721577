package emulator

// The topics sent by the emulator.
const (
	topicCreated           = "customer_created"
	topicVerified          = "customer_verified"
	topicRetry             = "customer_reverification_needed"
	topicKBA               = "customer_kba_verification_needed"
	topicDocumentNeeded    = "customer_verification_document_needed"
	topicDocumentUploaded  = "customer_verification_document_uploaded"
	topicDocumentApproved  = "customer_verification_document_approved"
	topicDocumentFailed    = "customer_verification_document_failed"
	topicSuspended         = "customer_suspended"
	topicDeactivated       = "customer_deactivated"
	topicActivated         = "customer_activated"
	topicFundingAdded      = "customer_funding_source_added"
	topicFundingVerified   = "customer_funding_source_verified"
	topicFundingUpdated    = "customer_funding_source_updated"
	topicFundingRemoved    = "customer_funding_source_removed"
	topicDepositsAdded     = "customer_microdeposits_added"
	topicDepositsCompleted = "customer_microdeposits_completed"
	topicDepositsExhausted = "customer_microdeposits_maxattempts"

	topicOwnerCreated          = "customer_beneficial_owner_created"
	topicOwnerRemoved          = "customer_beneficial_owner_removed"
	topicOwnerVerified         = "customer_beneficial_owner_verified"
	topicOwnerRetry            = "customer_beneficial_owner_reverification_needed"
	topicOwnerDocumentNeeded   = "customer_beneficial_owner_verification_document_needed"
	topicOwnerDocumentUploaded = "customer_beneficial_owner_verification_document_uploaded"
	topicOwnerDocumentApproved = "customer_beneficial_owner_verification_document_approved"
	topicOwnerDocumentFailed   = "customer_beneficial_owner_verification_document_failed"
)

// topicOf is the topic for a change of a Customer's status, or "" if Dwolla documents
// none.
func topicOf(from, to string) string {
	switch {
	case from == to:
		return ""
	case to == "suspended":
		return topicSuspended
	case to == "deactivated":
		return topicDeactivated
	case from == "suspended" || from == "deactivated":
		return topicActivated
	case to == "verified":
		return topicVerified
	case to == "retry":
		return topicRetry
	case to == "kba":
		return topicKBA
	case to == "document":
		return topicDocumentNeeded
	default:
		return ""
	}
}

// ownerTopic is the topic for an owner's verification status.
func ownerTopic(status string) string {
	switch status {
	case "verified":
		return topicOwnerVerified
	case "document":
		return topicOwnerDocumentNeeded
	default:
		return topicOwnerRetry
	}
}
