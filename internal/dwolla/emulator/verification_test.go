package emulator_test

import (
	"net/http"
	"slices"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// statusLinks are all links for a Customer's status.
func statusLinks() []string {
	return []string{
		"retry-verification", "retry-with-full-ssn", "document-form", "verify-with-document",
		"verify-business-with-document", "verify-controller-and-business-with-document",
		"certify-beneficial-ownership", "beneficial-owners",
	}
}

func TestMagicNamesDecideTheStatus(t *testing.T) {
	const owners = " certify-beneficial-ownership beneficial-owners"
	tests := map[string]struct {
		body          members
		status, links string
		topic         string
	}{
		"personal":              {personal("Ada"), "verified", "", "customer_verified"},
		"personal verified":     {personal("verified"), "verified", "", "customer_verified"},
		"personal retry":        {personal("retry"), "retry", "retry-verification", "customer_reverification_needed"},
		"personal kba":          {personal("kba"), "kba", "", "customer_kba_verification_needed"},
		"personal document":     {personal("document"), "document", "document-form verify-with-document", "customer_verification_document_needed"},
		"personal suspended":    {personal("suspended"), "suspended", "", "customer_suspended"},
		"unverified":            {unverified().with("firstName", "retry"), "unverified", "", ""},
		"sole proprietor":       {soleProprietor("document"), "document", "document-form verify-with-document", "customer_verification_document_needed"},
		"business":              {business("John", "Jane Corp"), "verified", owners, "customer_verified"},
		"controller retry":      {business("retry", "Jane Corp"), "retry", "retry-verification retry-with-full-ssn" + owners, "customer_reverification_needed"},
		"business retry":        {business("John", "retry"), "retry", "retry-verification" + owners, "customer_reverification_needed"},
		"controller document":   {business("document", "Jane Corp"), "document", "document-form verify-with-document" + owners, "customer_verification_document_needed"},
		"business document":     {business("John", "document"), "document", "document-form verify-business-with-document" + owners, "customer_verification_document_needed"},
		"both document":         {business("document", "document"), "document", "document-form verify-controller-and-business-with-document" + owners, "customer_verification_document_needed"},
		"controller suspended":  {business("suspended", "Jane Corp"), "suspended", owners, "customer_suspended"},
		"administrator's retry": {business("John", "Jane Corp").with("firstName", "retry"), "verified", owners, "customer_verified"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			m := d.subscribe()
			got := d.read(d.create("/customers", test.body))
			if got.Status != test.status {
				t.Errorf("status %q, want %q", got.Status, test.status)
			}
			got.wantLinks(t, test.links, statusLinks()...)
			d.await()
			want := slices.DeleteFunc([]string{"customer_created", test.topic}, func(s string) bool { return s == "" })
			if topics := slices.Sorted(slices.Values(m.topics(t))); !slices.Equal(topics, slices.Sorted(slices.Values(want))) {
				t.Errorf("topics %v, want %v", topics, want)
			}
		})
	}
}

func TestARetryHasOneMoreAttempt(t *testing.T) {
	tests := map[string]struct {
		first, second members
		status        string
	}{
		"resolved":        {personal("retry"), personal("Ada").with("ssn", "123-45-6789"), "verified"},
		"to a document":   {personal("retry"), personal("document").with("ssn", "123456789"), "document"},
		"the same again":  {personal("retry"), personal("retry").with("ssn", "123456789"), "document"},
		"suspended":       {personal("retry"), personal("suspended").with("ssn", "123456789"), "suspended"},
		"business":        {business("retry", "Jane Corp"), business("John", "Jane Corp"), "verified"},
		"business failed": {business("retry", "Jane Corp"), business("retry", "Jane Corp"), "document"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			path := d.create("/customers", test.first)
			d.app(http.MethodPost, path, `{"firstName":"Ada"}`).wantStatus(t, http.StatusBadRequest)
			d.app(http.MethodPost, path, test.second.with("controller", nil).with("ssn", "1234").String()).wantStatus(t, http.StatusBadRequest)
			d.app(http.MethodPost, path, test.second.String()).wantStatus(t, http.StatusOK)
			if got := d.read(path); got.Status != test.status {
				t.Errorf("status %q, want %q", got.Status, test.status)
			}
		})
	}
}

func (r reply) wantStatus(t *testing.T, want int) {
	t.Helper()
	if r.status != want {
		t.Errorf("status %d, want %d: %s", r.status, want, r.body)
	}
}

func TestABusinessProvesAllThatIsNeeded(t *testing.T) {
	person, company := upload{"license", "test-document-upload-success.png", png}, upload{"other", "test-document-upload-success.pdf", "%PDF-1.4"}
	tests := map[string]struct {
		body    members
		uploads []upload
		links   []string // after each upload; "": verified
	}{
		"controller":          {business("document", "Jane Corp"), []upload{company, person}, []string{"verify-with-document", ""}},
		"business":            {business("John", "document"), []upload{person, company}, []string{"verify-business-with-document", ""}},
		"controller, company": {business("document", "document"), []upload{person, company}, []string{"verify-business-with-document", ""}},
		"company, controller": {business("document", "document"), []upload{company, person}, []string{"verify-with-document", ""}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			path := d.create("/customers", test.body)
			for i, u := range test.uploads {
				d.location(d.upload(path+"/documents", u))
				got := d.read(path)
				got.wantLinks(t, test.links[i], "verify-with-document", "verify-business-with-document", "verify-controller-and-business-with-document")
				if verified := got.Status == "verified"; verified != (test.links[i] == "") {
					t.Errorf("status %q after %s", got.Status, u.documentType)
				}
			}
		})
	}
}

func TestVerificationRules(t *testing.T) {
	d := start(t)
	tests := map[string]struct {
		body    members
		problem string
	}{
		"personal without an address":     {personal("Ada").with("address1", nil), "Required /address1"},
		"personal without a city":         {personal("Ada").with("city", nil), "Required /city"},
		"state in words":                  {personal("Ada").with("state", "Iowa"), "Invalid /state"},
		"postal code":                     {personal("Ada").with("postalCode", "5030"), "Invalid /postalCode"},
		"no date of birth":                {personal("Ada").with("dateOfBirth", nil), "Required /dateOfBirth"},
		"date of birth in American order": {personal("Ada").with("dateOfBirth", "01/31/1980"), "Invalid /dateOfBirth"},
		"a child":                         {personal("Ada").with("dateOfBirth", "2010-01-31"), "Invalid /dateOfBirth"},
		"very old":                        {personal("Ada").with("dateOfBirth", "1880-01-31"), "Invalid /dateOfBirth"},
		"no SSN":                          {personal("Ada").with("ssn", nil), "Required /ssn"},
		"SSN of five digits":              {personal("Ada").with("ssn", "12345"), "Invalid /ssn"},
		"long name":                       {personal("Ada").with("lastName", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "Invalid /lastName"},
		"script as a name":                {personal("<script>"), "Invalid /firstName"},
		"no business name":                {business("John", ""), "Required /businessName"},
		"no business type":                {business("John", "Jane Corp").with("businessType", nil), "Required /businessType"},
		"unknown business type":           {business("John", "Jane Corp").with("businessType", "club"), "Invalid /businessType"},
		"no classification":               {business("John", "Jane Corp").with("businessClassification", nil), "Required /businessClassification"},
		"unknown classification":          {business("John", "Jane Corp").with("businessClassification", unknown), "Invalid /businessClassification"},
		"no EIN":                          {business("John", "Jane Corp").with("ein", nil), "Required /ein"},
		"EIN":                             {business("John", "Jane Corp").with("ein", "12-345"), "Invalid /ein"},
		"no controller":                   {business("John", "Jane Corp").with("controller", nil), "Required /controller"},
		"no title":                        {business("John", "Jane Corp").with("controller.title", nil), "Required /controller/title"},
		"controller's name":               {business("", "Jane Corp"), "Required /controller/firstName"},
		"controller's address":            {business("John", "Jane Corp").with("controller.address.city", nil), "Required /controller/address/city"},
		"controller's postal code":        {business("John", "Jane Corp").with("controller.address.postalCode", nil), "Required /controller/address/postalCode"},
		"controller's SSN":                {business("John", "Jane Corp").with("controller.ssn", nil), "Required /controller/ssn"},
		"sole proprietor's SSN":           {soleProprietor("Ada").with("ssn", nil), "Required /ssn"},
		"sole proprietor's EIN":           {soleProprietor("Ada").with("ein", "x"), "Invalid /ein"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d.app(http.MethodPost, "/customers", test.body.String()).wantProblem(t, http.StatusBadRequest, test.problem)
		})
	}
}

func TestAControllerAbroadHasAPassport(t *testing.T) {
	d := start(t)
	abroad := business("John", "Jane Corp").with("controller.ssn", nil).with("controller.address.country", "CA").
		with("controller.address.postalCode", nil).with("controller.passport", members{"number": "X123", "country": "CA"})
	d.create("/customers", abroad)
	d.app(http.MethodPost, "/customers", abroad.with("controller.passport.country", nil).String()).
		wantProblem(t, http.StatusBadRequest, "Required /controller/passport/country")
	d.app(http.MethodPost, "/customers", abroad.with("controller.address.country", "US").with("controller.address.postalCode", "50309").String()).
		wantProblem(t, http.StatusBadRequest, "Required /controller/ssn")
}

func TestASuspendedCustomerChangesNothing(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{Type: "business", Status: "suspended"}).ID
	for path, body := range map[string]string{
		"":                      `{"email":"eve@example.com"}`,
		"/beneficial-owners":    owner("Joe").String(),
		"/beneficial-ownership": `{"status":"certified"}`,
	} {
		d.app(http.MethodPost, "/customers/"+id+path, body).wantProblem(t, http.StatusForbidden, "InvalidResourceState")
	}
}
