package emulator

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// maxPending is Dwolla's bound for the documents of a person or business that
	// wait for their review.
	maxPending = 4
	// maxDocuments is the bound for reviewed ones, too.
	maxDocuments = 50
)

// Document is an uploaded document. Its content is not kept.
type Document struct {
	ID         string
	CustomerID string
	OwnerID    string // "" for a document of the Customer
	Type       string // passport, license, idCard or other
	Status     string // pending, accepted or rejected
	// FailureReason is set if the document was rejected, such as ScanNotReadable.
	FailureReason string
	FileName      string // without a directory
	Size          int
	SHA256        [sha256.Size]byte
	Created       time.Time
}

// Documents returns the documents of a Customer and of its owners, oldest first.
func (e *Emulator) Documents(customerID string) []Document {
	e.mu.Lock()
	defer e.mu.Unlock()
	customerID = strings.ToLower(customerID)
	var all []Document
	for _, subject := range append([]string{customerID}, e.ownersOf[customerID]...) {
		for _, id := range e.documentsOf[subject] {
			all = append(all, e.documents[id])
		}
	}
	slices.SortStableFunc(all, func(a, b Document) int { return a.Created.Compare(b.Created) })
	return all
}

// upload is the form of a document.
type upload struct {
	documentType, fileName string
	content                []byte
}

// upload reads the form. It ignores members it does not know.
func (c call) upload() (upload, bool) {
	var u upload
	_, parameters, err := mime.ParseMediaType(c.request.Header.Get("Content-Type"))
	if err != nil {
		return u, false
	}
	// The body is in memory and bounded, so nothing is written to disk.
	form, err := multipart.NewReader(bytes.NewReader(c.body), parameters["boundary"]).ReadForm(maxDocument)
	if err != nil {
		return u, false
	}
	if values := form.Value["documentType"]; len(values) == 1 {
		u.documentType = values[0]
	}
	if files := form.File["file"]; len(files) == 1 {
		u.fileName = path.Base(files[0].Filename)
		u.content, err = read(files[0])
	}
	return u, err == nil
}

func read(header *multipart.FileHeader) ([]byte, error) {
	file, err := header.Open()
	if err != nil {
		return nil, fmt.Errorf("emulator: opening a part of a form: %w", err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("emulator: reading a part of a form: %w", err)
	}
	return content, nil
}

// check returns the refusal of an unfit upload.
func (u upload) check() (answer, bool) {
	var k checks
	k.valid("/documentType", u.documentType, func(s string) bool {
		return slices.Contains([]string{"passport", "license", "idCard", "other"}, s)
	})
	if len(u.content) == 0 {
		k.present("/file", "")
	}
	if k.errs != nil {
		return invalid(k.errs...), false
	}
	kind := http.DetectContentType(u.content)
	if kind != "image/jpeg" && kind != "image/png" && (kind != "application/pdf" || u.documentType != "other") {
		return refuseAs(http.StatusBadRequest, "InvalidFileType", "File types supported: Personal IDs - .jpg, .jpeg or .png. "+
			"Business Documents - .jpg, .jpeg, .png, or .pdf."), false
	}
	return answer{}, true
}

func (e *Emulator) createCustomerDocument(c call) answer {
	return e.createDocument(c, func() (Document, answer) {
		customer, exists := e.customers[c.id]
		if !exists {
			return Document{}, noCustomer()
		}
		if customer.Status != "document" {
			return Document{}, wrongState("Resource cannot be modified. Document creation not allowed for already verified Customers " +
				"or non-verified Customer types.")
		}
		return Document{CustomerID: c.id}, answer{}
	})
}

func (e *Emulator) createOwnerDocument(c call) answer {
	return e.createDocument(c, func() (Document, answer) {
		o, exists := e.owners[c.id]
		if !exists {
			return Document{}, noOwner()
		}
		if o.VerificationStatus != "document" {
			return Document{}, wrongState("Resource cannot be modified. The beneficial owner needs no document.")
		}
		return Document{CustomerID: o.CustomerID, OwnerID: o.ID}, answer{}
	})
}

// createDocument keeps an upload. It calls subject with the lock held, for the
// document's subject or a refusal.
func (e *Emulator) createDocument(c call, subject func() (Document, answer)) answer {
	u, ok := c.upload()
	if !ok {
		return refuse(http.StatusBadRequest, "The request body is not the form that is expected here.")
	}
	if refusal, fit := u.check(); !fit {
		return refusal
	}
	now := e.options.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	d, refusal := subject()
	if refusal.status != 0 {
		return refusal
	}
	d.ID, d.Type, d.Status, d.Created = newUUID(), u.documentType, "pending", now
	d.FileName, d.Size, d.SHA256 = u.fileName, len(u.content), sha256.Sum256(u.content)
	if refusal, ok := e.checkDocuments(c, d); !ok {
		return refusal
	}
	e.documents[d.ID] = d
	e.documentsOf[c.id] = append(e.documentsOf[c.id], d.ID)
	e.sendEventAbout(d.topics().uploaded, d.CustomerID, documentsPath+d.ID)
	e.reviewSample(d)
	return created(c.url(documentsPath + d.ID))
}

// checkDocuments refuses one document too many, and one that is there already.
func (e *Emulator) checkDocuments(c call, d Document) (answer, bool) {
	pending := 0
	for _, id := range e.documentsOf[c.id] {
		other := e.documents[id]
		if other.Status != "pending" {
			continue
		}
		pending++
		if other.SHA256 == d.SHA256 && other.Type == d.Type {
			return c.duplicate("Document already exists.", c.link(documentsPath+id, "document")), false
		}
	}
	if pending >= maxPending || len(e.documentsOf[c.id]) >= maxDocuments {
		return tooManyResources("Max of four files upload allowed. Please wait for Dwolla to manually check the documents."), false
	}
	return answer{}, true
}
