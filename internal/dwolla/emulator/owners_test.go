package emulator_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

func TestOwnersMagicNamesDecideTheirStatus(t *testing.T) {
	tests := map[string]struct{ status, links, topic string }{
		"Joe":        {"verified", "", "customer_beneficial_owner_verified"},
		"incomplete": {"incomplete", "retry-verification", "customer_beneficial_owner_reverification_needed"},
		"document":   {"document", "document-form verify-with-document", "customer_beneficial_owner_verification_document_needed"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			id := d.businessCustomer().ID
			m := d.subscribe()
			got := d.read(d.create("/customers/"+id+"/beneficial-owners", owner(name)))
			if got.VerificationStatus != test.status {
				t.Errorf("status %q, want %q", got.VerificationStatus, test.status)
			}
			got.wantLinks(t, test.links, "retry-verification", "document-form", "verify-with-document")
			d.await()
			if topics := slices.Sorted(slices.Values(m.topics(t))); !slices.Equal(topics, []string{"customer_beneficial_owner_created", test.topic}) {
				t.Errorf("topics %v", topics)
			}
			for _, w := range d.Webhooks() {
				if w.CustomerID != id || w.ResourceID != got.ID {
					t.Errorf("the webhook is about %+v", w)
				}
			}
		})
	}
}

func TestAnIncompleteOwnerHasOneMoreAttempt(t *testing.T) {
	for name, want := range map[string]string{"Joe": "verified", "document": "document", "incomplete": "document"} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			id := d.businessCustomer().ID
			path := d.create("/customers/"+id+"/beneficial-owners", owner("incomplete"))
			d.app(http.MethodPost, path, owner(name).with("ssn", "1234").String()).wantProblem(t, 400, "Invalid /ssn")
			var got resource
			d.call(d.vend("beneficialowners.update", id), http.MethodPost, path, owner(name).String()).decode(t, http.StatusOK, &got)
			if got.VerificationStatus != want || got.FirstName != name {
				t.Errorf("got %+v, want status %s", got, want)
			}
			d.app(http.MethodPost, path, owner(name).String()).wantProblem(t, 403, "InvalidResourceState")
		})
	}
}

func TestAnOwnersDocumentVerifiesTheOwner(t *testing.T) {
	d := start(t)
	id := d.businessCustomer().ID
	path := d.create("/customers/"+id+"/beneficial-owners", owner("document"))
	m := d.subscribe()
	document := d.location(d.upload(path+"/documents", upload{"passport", "test-document-upload-success.png", png}))
	if got := d.read(path); got.VerificationStatus != "verified" {
		t.Errorf("got %+v", got)
	}
	var list struct{ Total int }
	d.app(http.MethodGet, path+"/documents", "").decode(t, http.StatusOK, &list)
	if all := d.Documents(id); list.Total != 1 || len(all) != 1 || "/documents/"+all[0].ID != document || "/beneficial-owners/"+all[0].OwnerID != path {
		t.Errorf("%d listed, kept %+v", list.Total, all)
	}
	d.await()
	want := []string{
		"customer_beneficial_owner_verification_document_approved",
		"customer_beneficial_owner_verification_document_uploaded",
		"customer_beneficial_owner_verified",
	}
	if got := slices.Sorted(slices.Values(m.topics(t))); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	d.app(http.MethodDelete, path, "").wantStatus(t, http.StatusOK)
	d.app(http.MethodGet, document, "").wantProblem(t, 404, "NotFound")
}

func TestSetOwnerStatusShows(t *testing.T) {
	d := start(t)
	id, err := d.AddBeneficialOwner(d.businessCustomer().ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetOwnerStatus(strings.ToUpper(id), "document"); err != nil {
		t.Fatal(err)
	}
	if got := d.read("/beneficial-owners/" + id); got.VerificationStatus != "document" {
		t.Errorf("got %+v", got)
	}
	if d.SetOwnerStatus(id, "asleep") == nil || d.SetOwnerStatus(unknown, "verified") == nil {
		t.Error("an unknown status or owner is no error")
	}
}

func TestOnlyABusinessHasOwners(t *testing.T) {
	d := start(t)
	for _, c := range []emulator.Customer{
		{}, {Type: "personal"}, {Type: "business", BusinessType: "soleProprietorship"},
	} {
		path := "/customers/" + d.customer(c).ID
		d.app(http.MethodPost, path+"/beneficial-owners", owner("Joe").String()).wantProblem(t, 403, "Forbidden")
		d.app(http.MethodGet, path+"/beneficial-ownership", "").wantProblem(t, 403, "Forbidden")
		d.app(http.MethodPost, path+"/beneficial-ownership", `{"status":"certified"}`).wantProblem(t, 403, "Forbidden")
	}
}

func TestChangedOwnersNeedANewCertification(t *testing.T) {
	d := start(t)
	id := d.businessCustomer().ID
	owners, path := "/customers/"+id+"/beneficial-owners", "/customers/"+id+"/beneficial-ownership"
	m := d.subscribe()
	want := func(status string) {
		t.Helper()
		if got := d.read(path); got.Status != status {
			t.Errorf("status %q, want %q", got.Status, status)
		}
	}
	certify := func() {
		t.Helper()
		d.call(d.vend("beneficialownership.certify", id), http.MethodPost, path, `{"status":"certified"}`).wantStatus(t, http.StatusOK)
		want("certified")
	}
	want("uncertified")
	d.app(http.MethodPost, path, `{"status":"uncertified"}`).wantProblem(t, 400, "Invalid /status")
	first := d.create(owners, owner("Joe"))
	want("uncertified")
	certify()
	d.read("/customers/"+id).wantLinks(t, "beneficial-owners", statusLinks()...)
	second := d.create(owners, owner("incomplete"))
	want("recertify")
	d.read("/customers/"+id).wantLinks(t, "beneficial-owners certify-beneficial-ownership", statusLinks()...)
	certify()
	d.app(http.MethodPost, second, owner("Jim").String()).wantStatus(t, http.StatusOK)
	want("recertify")
	certify()
	d.call(d.vend("beneficialowner.delete", id), http.MethodDelete, first, "").wantStatus(t, http.StatusOK)
	want("recertify")
	d.app(http.MethodGet, first, "").wantProblem(t, 404, "NotFound")
	d.app(http.MethodDelete, first, "").wantProblem(t, 404, "NotFound")
	d.await()
	if got := m.topics(t); !slices.Contains(got, "customer_beneficial_owner_removed") {
		t.Errorf("got %v", got)
	}
}

func TestACustomerHasFourOwnersAtMost(t *testing.T) {
	d := start(t)
	path := "/customers/" + d.businessCustomer().ID + "/beneficial-owners"
	for range 4 {
		d.create(path, owner("Joe"))
	}
	d.app(http.MethodPost, path, owner("Joe").String()).wantProblem(t, 400, "MaxNumberOfResources")
}

func TestBusinessClassificationsHoldTheIndustries(t *testing.T) {
	d := start(t)
	type group struct {
		resource

		Embedded struct {
			Industries []resource `json:"industry-classifications"`
		} `json:"_embedded"`
	}
	var list struct {
		Embedded struct {
			Groups []group `json:"business-classifications"`
		} `json:"_embedded"`
		Total int
	}
	d.call(d.vend("businessclassifications.read", ""), http.MethodGet, "/business-classifications", "").decode(t, http.StatusOK, &list)
	if list.Total == 0 || len(list.Embedded.Groups) != list.Total {
		t.Fatalf("got %+v", list)
	}
	for _, g := range list.Embedded.Groups {
		var alone group
		d.app(http.MethodGet, "/business-classifications/"+g.ID, "").decode(t, http.StatusOK, &alone)
		if len(alone.Embedded.Industries) == 0 || alone.Name != g.Name {
			t.Errorf("got %+v", alone)
		}
		d.create("/customers", business("John", "Jane Corp").with("businessClassification", alone.Embedded.Industries[0].ID))
	}
	d.app(http.MethodGet, "/business-classifications/"+unknown, "").wantProblem(t, 404, "NotFound")
}
