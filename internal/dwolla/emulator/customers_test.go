package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/dwolla/emulator"
)

func TestACustomerIsCreatedReadAndUpdated(t *testing.T) {
	d := start(t)
	got := d.call(d.vend("customer.create", ""), http.MethodPost, "/customers",
		`{"firstName":"Ada","lastName":"Byron","email":"ada@example.com","correlationId":"dg1.abc","ssn":"1234"}`)
	location := got.header.Get("Location")
	id, ok := strings.CutPrefix(location, d.url+"/customers/")
	if got.status != http.StatusCreated || !ok || len(got.body) != 0 || got.header.Get("Content-Type") != "" {
		t.Fatalf("status %d, Location %q: %s", got.status, location, got.body)
	}
	link := func(href, resource string) map[string]any {
		return map[string]any{"href": href, "type": hal, "resource-type": resource}
	}
	want := map[string]any{
		"_links": map[string]any{"self": link(location, "customer"), "funding-sources": link(location+"/funding-sources", "funding-source")},
		"id":     id, "firstName": "Ada", "lastName": "Byron", "email": "ada@example.com", "correlationId": "dg1.abc",
		"type": "unverified", "status": "unverified", "created": "2026-05-01T12:00:00.000Z",
	}
	var read map[string]any
	d.call(d.vend("customer.read", id), http.MethodGet, "/customers/"+id, "").decode(t, http.StatusOK, &read)
	if diff := cmp.Diff(want, read); diff != "" {
		t.Error(diff)
	}

	want["lastName"], want["type"], want["status"] = "Lovelace", "personal", "verified"
	want["address1"], want["city"], want["state"], want["postalCode"] = "99-99 33rd St", "Some City", "NY", "11101"
	var updated map[string]any
	d.call(d.vend("customer.update", id), http.MethodPost, "/customers/"+id,
		personal("Ada").with("lastName", "Lovelace").with("correlationId", "dg1.abc").String()).decode(t, http.StatusOK, &updated)
	if diff := cmp.Diff(want, updated); diff != "" {
		t.Error(diff)
	}
}

func TestCustomerRules(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	d.customer(emulator.Customer{CorrelationID: "taken"})
	verified := "/customers/" + d.customer(emulator.Customer{Type: "personal", CorrelationID: "mine"}).ID
	create := func(more string) string { return `{"firstName":"A","lastName":"B","email":"a@b.co"` + more + `}` }
	tests := map[string]struct{ path, body, problem string }{
		"minimal":                         {"/customers", create(""), ""},
		"every letter of a correlationId": {"/customers", create(`,"correlationId":"az09-._` + strings.Repeat("a", 248) + `"`), ""},
		"receive-only":                    {"/customers", create(`,"type":"receive-only"`), ""},
		"personal":                        {"/customers", personal("Ada").String(), ""},
		"business":                        {"/customers", business("John", "Jane Corp").String(), ""},
		"sole proprietorship":             {"/customers", soleProprietor("Ada").String(), ""},
		"not JSON":                        {"/customers", "x", "BadRequest"},
		"no first name":                   {"/customers", `{"lastName":"B","email":"a@b.co"}`, "Required /firstName"},
		"no last name":                    {"/customers", `{"firstName":"A","email":"a@b.co"}`, "Required /lastName"},
		"no email":                        {"/customers", `{"firstName":"A","lastName":"B"}`, "Required /email"},
		"email with a name":               {"/customers", `{"firstName":"A","lastName":"B","email":"A <a@b.co>"}`, "InvalidFormat /email"},
		"unknown type":                    {"/customers", create(`,"type":"vip"`), "Invalid /type"},
		"correlationId taken":             {"/customers", create(`,"correlationId":"taken"`), "Duplicate /correlationId"},
		"correlationId in upper case":     {"/customers", create(`,"correlationId":"Taken"`), "InvalidFormat /correlationId"},
		"correlationId with space":        {"/customers", create(`,"correlationId":"a b"`), "InvalidFormat /correlationId"},
		"correlationId too long":          {"/customers", create(`,"correlationId":"` + strings.Repeat("a", 256) + `"`), "InvalidFormat /correlationId"},
		"update of nothing":               {verified, `{}`, ""},
		"update is not JSON":              {verified, "x", "BadRequest"},
		"update with a bad email":         {verified, `{"email":"x"}`, "InvalidFormat /email"},
		"another correlationId":           {verified, `{"correlationId":"other"}`, "ReadOnly /correlationId"},
		"another status":                  {verified, `{"status":"deactivated"}`, "NotAllowed /status"},
		"another name":                    {verified, `{"firstName":"Eve"}`, "NotAllowed /firstName"},
		"another address":                 {verified, `{"address1":"1 Elm Street","postalCode":"50309"}`, ""},
		"address with a bad postal code":  {verified, `{"postalCode":"x"}`, "Invalid /postalCode"},
		"downgrade":                       {verified, `{"type":"unverified"}`, "NotAllowed /type"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := d.call(access, http.MethodPost, test.path, test.body)
			if test.problem != "" {
				got.wantProblem(t, http.StatusBadRequest, test.problem)
			} else if got.status >= 300 {
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
	}
}

func TestAValidationErrorNamesEveryFault(t *testing.T) {
	d := start(t)
	var p problem
	d.call(d.accessToken(), http.MethodPost, "/customers", `{}`).decode(t, http.StatusBadRequest, &p)
	var paths []string
	for _, e := range p.Embedded.Errors {
		paths = append(paths, e.Path)
	}
	if diff := cmp.Diff([]string{"/firstName", "/lastName", "/email"}, paths); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedCreationLeavesNothingBehind(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	d.call(access, http.MethodPost, "/customers", `{"firstName":"A","lastName":"B","correlationId":"free"}`).
		wantProblem(t, http.StatusBadRequest, "Required /email")
	if got := d.call(access, http.MethodPost, "/customers", `{"firstName":"A","lastName":"B","email":"a@b.co","correlationId":"free"}`); got.status != 201 {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}

func TestAddCustomerKeepsValidValuesOnly(t *testing.T) {
	d := start(t)
	given := emulator.Customer{
		ID: "707177C3-BF15-4E7E-B37C-55C3898D9BF4", FirstName: "Ada", LastName: "Byron", Email: "ada@example.com",
		Type: "business", Status: "verified", CorrelationID: "c-1", Created: d.clock.Now(),
		Address:      emulator.Address{Address1: "1 Elm Street", City: "Des Moines", State: "IA", PostalCode: "50309"},
		BusinessName: "Ada's Engines", BusinessType: "corporation", BusinessClassification: unknown, Certification: "certified",
		Controller: emulator.Controller{FirstName: "Charles", LastName: "Babbage", Title: "CEO"},
	}
	want := given
	want.ID = "707177c3-bf15-4e7e-b37c-55c3898d9bf4"
	if diff := cmp.Diff(want, d.customer(given)); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string]emulator.Customer{
		"id taken":            {ID: given.ID},
		"correlationId taken": {CorrelationID: "c-1"},
		"id":                  {ID: "42"},
		"id of UUID length":   {ID: "707177c3-bf15-4e7e-b37c+55c3898d9bf4"},
		"type":                {Type: "x"},
		"status":              {Status: "x"},
		"email":               {Email: "x"},
		"correlationId":       {CorrelationID: "ä"},
	} {
		if got, err := d.AddCustomer(bad); err == nil {
			t.Errorf("%s: added as %+v", name, got)
		}
	}
}

func TestSetCustomerStatusShows(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	if err := d.SetCustomerStatus(strings.ToUpper(id), "suspended"); err != nil {
		t.Fatal(err)
	}
	var got struct{ Status string }
	d.call(d.accessToken(), http.MethodGet, "/customers/"+id, "").decode(t, http.StatusOK, &got)
	if got.Status != "suspended" {
		t.Errorf("status %q", got.Status)
	}
	if d.SetCustomerStatus(id, "asleep") == nil || d.SetCustomerStatus(unknown, "verified") == nil {
		t.Error("an unknown status or Customer is no error")
	}
}

type ownerList struct {
	Embedded struct {
		Owners []struct {
			ID    string
			Links struct{ Self struct{ Href string } } `json:"_links"`
		} `json:"beneficial-owners"`
	} `json:"_embedded"`
	Total int
}

func TestOwnersAreListedByCustomerInOrder(t *testing.T) {
	d := start(t)
	id, other := d.customer(emulator.Customer{Type: "business"}).ID, d.customer(emulator.Customer{}).ID
	added, err := d.AddBeneficialOwner(strings.ToUpper(id))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = d.AddBeneficialOwner(unknown); err == nil {
		t.Error("an owner of nobody is no error")
	}
	path := "/customers/" + id + "/beneficial-owners"
	answer := d.call(d.vend("beneficialowners.create", id), http.MethodPost, path, owner("A").String())
	made, ok := strings.CutPrefix(answer.header.Get("Location"), d.url+"/beneficial-owners/")
	if answer.status != http.StatusCreated || !ok {
		t.Fatalf("%d %v", answer.status, answer.header)
	}
	d.call(d.accessToken(), http.MethodPost, path, owner("A").with("lastName", nil).String()).wantProblem(t, 400, "Required /lastName")

	var list, empty ownerList
	d.call(d.vend("beneficialowners.read", id), http.MethodGet, path, "").decode(t, http.StatusOK, &list)
	if list.Total != 2 || len(list.Embedded.Owners) != 2 || list.Embedded.Owners[0].ID != added || list.Embedded.Owners[1].ID != made ||
		list.Embedded.Owners[0].Links.Self.Href != d.url+"/beneficial-owners/"+added {
		t.Errorf("got %+v", list)
	}
	d.call(d.accessToken(), http.MethodGet, "/customers/"+other+"/beneficial-owners", "").decode(t, http.StatusOK, &empty)
	if empty.Total != 0 || empty.Embedded.Owners == nil {
		t.Errorf("got %+v", empty)
	}
}

func TestAnOwnerIsReadWithoutItsCustomer(t *testing.T) {
	d := start(t)
	id, other := d.customer(emulator.Customer{Type: "business"}).ID, d.customer(emulator.Customer{}).ID
	owner, err := d.AddBeneficialOwner(id)
	if err != nil {
		t.Fatal(err)
	}
	path := "/beneficial-owners/" + owner
	got := d.call(d.vend("beneficialowners.read", id), http.MethodGet, path, "")
	if got.status != http.StatusOK || strings.Contains(string(got.body), id) || !strings.Contains(string(got.body), owner) {
		t.Errorf("%d %s", got.status, got.body)
	}
	d.call(d.vend("beneficialowners.read", other), http.MethodGet, path, "").wantProblem(t, http.StatusForbidden, "Forbidden")
}

func TestClientTokenReadsItsOwnerOnly(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{Type: "business"}).ID
	mine, errMine := d.AddBeneficialOwner(id)
	other, errOther := d.AddBeneficialOwner(id)
	if errMine != nil || errOther != nil {
		t.Fatal(errMine, errOther)
	}
	var answer struct{ Token string }
	d.call(d.accessToken(), http.MethodPost, "/client-tokens", `{"action":"beneficialowners.read","_links":{`+
		`"customer":{"href":"`+d.url+"/customers/"+id+`"},`+
		`"beneficial-owner":{"href":"`+d.url+"/beneficial-owners/"+strings.ToUpper(mine)+`"}}}`).decode(t, http.StatusOK, &answer)
	if got := d.ClientTokens()[0].BeneficialOwnerID; got != mine {
		t.Errorf("BeneficialOwnerID %q", got)
	}
	d.call(answer.Token, http.MethodGet, "/beneficial-owners/"+other, "").wantProblem(t, http.StatusForbidden, "Forbidden")
	if got := d.call(answer.Token, http.MethodGet, "/beneficial-owners/"+mine, ""); got.status != http.StatusOK {
		t.Errorf("status %d: %s", got.status, got.body)
	}
}
