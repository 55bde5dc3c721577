package emulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

func (d *dwolla) upload(path string, u upload) reply {
	d.t.Helper()
	return d.send(d.documentRequest(d.accessToken(), path, u))
}

func TestDocumentRules(t *testing.T) {
	d := start(t)
	path := "/customers/" + d.customer(emulator.Customer{Type: "personal", Status: "document"}).ID + "/documents"
	verified := "/customers/" + d.customer(emulator.Customer{Type: "personal"}).ID + "/documents"
	owner, err := d.AddBeneficialOwner(d.businessCustomer().ID)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path    string
		upload  upload
		status  int
		problem string
	}{
		"no type":          {path, upload{"", "a.png", png}, 400, "Required /documentType"},
		"unknown type":     {path, upload{"selfie", "a.png", png}, 400, "Invalid /documentType"},
		"no file":          {path, upload{"passport", "", ""}, 400, "Required /file"},
		"empty file":       {path, upload{"passport", "a.png", ""}, 400, "Required /file"},
		"text as an image": {path, upload{"passport", "a.png", "an image"}, 400, "InvalidFileType"},
		"pdf of a person":  {path, upload{"passport", "a.pdf", "%PDF-1.4"}, 400, "InvalidFileType"},
		"too large":        {path, upload{"passport", "a.png", png + strings.Repeat("a", 10<<20)}, 413, "FileTooLarge"},
		"verified":         {verified, passport(), 403, "InvalidResourceState"},
		"verified owner":   {"/beneficial-owners/" + owner + "/documents", passport(), 403, "InvalidResourceState"},
		"unknown Customer": {"/customers/" + unknown + "/documents", passport(), 404, "NotFound"},
		"unknown owner":    {"/beneficial-owners/" + unknown + "/documents", passport(), 404, "NotFound"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d.upload(test.path, test.upload).wantProblem(t, test.status, test.problem)
		})
	}
	d.app(http.MethodPost, path, `{"documentType":"passport"}`).wantProblem(t, 415, "UnsupportedMediaType")
	r := d.request(d.accessToken(), http.MethodPost, path, "not a form")
	r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	d.send(r).wantProblem(t, 400, "BadRequest")
}

func TestAPendingDocumentWaitsForItsReview(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{Type: "personal", Status: "document"}).ID
	m := d.subscribe()
	path := d.location(d.send(d.documentRequest(d.vend("customer.documents.create", id), "/customers/"+id+"/documents", passport())))
	if got := d.read(path); got.Status != "pending" || got.DocumentVerificationStatus != "pending" || got.Type != "passport" {
		t.Errorf("got %+v", got)
	}
	kept := d.Documents(strings.ToUpper(id))
	if len(kept) != 1 || kept[0].FileName != "passport.png" || kept[0].Size != len(png) || "/documents/"+kept[0].ID != path {
		t.Fatalf("got %+v", kept)
	}
	d.upload("/customers/"+id+"/documents", passport()).wantProblem(t, 400, "DuplicateResource")
	if err := d.ReviewDocument(kept[0].ID, "ScanDobMismatch"); err != nil {
		t.Fatal(err)
	}
	if d.ReviewDocument(kept[0].ID, "") == nil || d.ReviewDocument(unknown, "") == nil {
		t.Error("reviewing a reviewed or unknown document is no error")
	}
	if got := d.read(path); got.Status != "reviewed" || got.DocumentVerificationStatus != "rejected" || got.FailureReason != "ScanDobMismatch" {
		t.Errorf("got %+v", got)
	}
	if got := d.read("/customers/" + id); got.Status != "document" {
		t.Errorf("status %q", got.Status)
	}
	d.await()
	want := []string{"customer_verification_document_failed", "customer_verification_document_uploaded"}
	if got := slices.Sorted(slices.Values(m.topics(t))); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestSampleDocumentsAreReviewedAtOnce(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{Type: "personal", FirstName: "document"}).ID
	m := d.subscribe()
	path := "/customers/" + id + "/documents"
	d.location(d.upload(path, upload{"license", "test-document-upload-fail.png", png}))
	if got := d.read("/customers/" + id); got.Status != "document" {
		t.Errorf("status %q after a failure", got.Status)
	}
	d.location(d.upload(path, upload{"license", "test-document-upload-success.png", png}))
	if got := d.read("/customers/" + id); got.Status != "verified" {
		t.Errorf("status %q after a success", got.Status)
	}
	var list struct {
		Embedded struct{ Documents []resource } `json:"_embedded"`
		Total    int
	}
	d.call(d.vend("customer.documents.read", id), http.MethodGet, path, "").decode(t, http.StatusOK, &list)
	if list.Total != 2 || list.Embedded.Documents[0].FailureReason != "ScanNotReadable" ||
		list.Embedded.Documents[1].DocumentVerificationStatus != "accepted" {
		t.Errorf("got %+v", list)
	}
	d.await()
	if got := m.topics(t); len(got) != 5 || !slices.Contains(got, "customer_verified") || !slices.Contains(got, "customer_verification_document_approved") {
		t.Errorf("got %v", got)
	}
}

func TestFourDocumentsAtMostArePending(t *testing.T) {
	d := start(t)
	path := "/customers/" + d.customer(emulator.Customer{Type: "personal", Status: "document"}).ID + "/documents"
	for i := range 4 {
		d.location(d.upload(path, upload{"other", "a.pdf", "%PDF-" + strings.Repeat("1", i+1)}))
	}
	d.upload(path, passport()).wantProblem(t, 400, "MaxNumberOfResources")
}
