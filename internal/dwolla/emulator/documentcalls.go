package emulator

import "net/http"

type documentResource struct {
	Links              selfLinks       `json:"_links"`
	ID                 string          `json:"id"`
	Status             string          `json:"status"`
	Type               string          `json:"type"`
	Created            string          `json:"created"`
	VerificationStatus string          `json:"documentVerificationStatus"`
	FailureReason      string          `json:"failureReason,omitempty"`
	AllFailureReasons  []failureReason `json:"allFailureReasons,omitempty"`
}

type failureReason struct {
	Reason      string `json:"reason"`
	Description string `json:"description"`
}

func (c call) documentResource(d Document) documentResource {
	r := documentResource{
		Links: selfLinks{Self: c.link(documentsPath+d.ID, "document")},
		ID:    d.ID, Status: "reviewed", Type: d.Type, Created: wireTime(d.Created), VerificationStatus: d.Status,
	}
	if d.Status == "pending" {
		r.Status = "pending"
	}
	if d.FailureReason != "" {
		r.FailureReason = d.FailureReason
		r.AllFailureReasons = []failureReason{{Reason: d.FailureReason, Description: "The document was rejected."}}
	}
	return r
}

func (e *Emulator) readDocument(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, exists := e.documents[c.id]
	if !exists {
		return refuse(http.StatusNotFound, "The document was not found.")
	}
	return answer{status: http.StatusOK, body: c.documentResource(d)}
}

func (e *Emulator) listCustomerDocuments(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[c.id]; !exists {
		return noCustomer()
	}
	return e.listDocuments(c, customersPath)
}

func (e *Emulator) listOwnerDocuments(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.owners[c.id]; !exists {
		return noOwner()
	}
	return e.listDocuments(c, ownersPath)
}

// listDocuments lists the documents of the {id} of the path. The caller holds the
// lock.
func (e *Emulator) listDocuments(c call, collection string) answer {
	var documents []documentResource
	for _, id := range e.documentsOf[c.id] {
		documents = append(documents, c.documentResource(e.documents[id]))
	}
	return list(c, collection+c.id+"/documents", "document", documents)
}
