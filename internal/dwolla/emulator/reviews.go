package emulator

import (
	"fmt"
	"strings"
)

// ReviewDocument accepts a pending document, or rejects it for the reason if that is
// not empty. It then changes the status of its Customer or owner, and sends the
// webhooks.
func (e *Emulator) ReviewDocument(id, failureReason string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, exists := e.documents[strings.ToLower(id)]
	if !exists || d.Status != "pending" {
		return fmt.Errorf("emulator: no pending document %q", id)
	}
	e.review(d, failureReason)
	return nil
}

// reviewSample reviews the samples of Dwolla's sandbox at once, by their names.
func (e *Emulator) reviewSample(d Document) {
	switch {
	case strings.HasPrefix(d.FileName, "test-document-upload-success"):
		e.review(d, "")
	case strings.HasPrefix(d.FileName, "test-document-upload-fail"):
		e.review(d, "ScanNotReadable")
	}
}

// documentTopics are the topics about a document.
type documentTopics struct{ uploaded, approved, failed string }

func (d Document) topics() documentTopics {
	if d.OwnerID != "" {
		return documentTopics{topicOwnerDocumentUploaded, topicOwnerDocumentApproved, topicOwnerDocumentFailed}
	}
	return documentTopics{topicDocumentUploaded, topicDocumentApproved, topicDocumentFailed}
}

// review ends the review of a document. The caller holds the lock.
func (e *Emulator) review(d Document, failureReason string) {
	d.FailureReason, d.Status = failureReason, "rejected"
	if failureReason == "" {
		d.Status = "accepted"
	}
	e.documents[d.ID] = d
	if d.Status == "rejected" {
		e.sendEventAbout(d.topics().failed, d.CustomerID, documentsPath+d.ID)
		return
	}
	e.sendEventAbout(d.topics().approved, d.CustomerID, documentsPath+d.ID)
	if d.OwnerID == "" {
		e.accept(d)
	} else if o := e.owners[d.OwnerID]; o.VerificationStatus == "document" {
		e.setOwnerStatus(o, "verified")
	}
}

// accept verifies the Customer if the accepted document was the last one needed. The
// caller holds the lock.
func (e *Emulator) accept(d Document) {
	customer := e.customers[d.CustomerID]
	if customer.Status != "document" {
		return
	}
	proven := needsController
	if d.Type == "other" {
		proven = needsBusiness
	}
	switch customer.DocumentNeeded {
	case "", proven:
		customer.DocumentNeeded, customer.Status = "", "verified"
		e.sendEvent(topicVerified, customer.ID)
	case needsBoth:
		customer.DocumentNeeded = needsController
		if proven == needsController {
			customer.DocumentNeeded = needsBusiness
		}
	}
	e.customers[customer.ID] = customer
}
