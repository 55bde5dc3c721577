package emulator_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"testing"

	"dropgate/internal/dwolla/emulator"
)

// members are a JSON object's. With returns changed copies of it.
type members map[string]any

// with returns a copy with a member set, by its dotted path. A nil value removes it.
func (m members) with(path string, value any) members {
	c := maps.Clone(m)
	name, rest, nested := strings.Cut(path, ".")
	switch inner, ok := c[name].(members); {
	case nested && ok:
		c[name] = inner.with(rest, value)
	case value == nil:
		delete(c, name)
	default:
		c[name] = value
	}
	return c
}

func (m members) String() string {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(body)
}

func unverified() members {
	return members{"firstName": "Ada", "lastName": "Byron", "email": "ada@example.com", "type": "unverified"}
}

func personal(firstName string) members {
	return members{
		"firstName": firstName, "lastName": "Byron", "email": "ada@example.com", "type": "personal",
		"address1": "99-99 33rd St", "city": "Some City", "state": "NY", "postalCode": "11101",
		"dateOfBirth": "1980-01-31", "ssn": "1234",
	}
}

func soleProprietor(firstName string) members {
	m := personal(firstName)
	maps.Copy(m, members{
		"type": "business", "businessType": "soleProprietorship", "businessName": "Ada's Engines",
		"businessClassification": industry,
	})
	return m
}

// industry is one of the emulator's.
const industry = "9ed3f670-7d6f-11e3-b1ce-5404a6144203"

func business(controller, name string) members {
	return members{
		"firstName": "Ada", "lastName": "Byron", "email": "ada@example.com", "type": "business",
		"address1": "99-99 33rd St", "city": "Some City", "state": "NY", "postalCode": "11101",
		"businessType": "llc", "businessName": name, "businessClassification": industry, "ein": "12-3456789",
		"controller": owner(controller).with("title", "CEO"),
	}
}

func owner(firstName string) members {
	return members{
		"firstName": firstName, "lastName": "Lovelace", "dateOfBirth": "1980-01-31", "ssn": "123-45-6789",
		"address": members{
			"address1": "1 Main Street", "city": "Des Moines", "stateProvinceRegion": "IA", "postalCode": "50309", "country": "US",
		},
	}
}

func bank() members {
	return members{"routingNumber": "222222226", "accountNumber": "123456789", "bankAccountType": "checking", "name": "Ada's checking"}
}

// png is the beginning of an image, which is all that its type depends on.
const png = "\x89PNG\r\n\x1a\n"

// upload is a document's form.
type upload struct{ documentType, name, content string }

func passport() upload { return upload{"passport", "passport.png", png} }

// documentRequest uploads a document.
func (d *dwolla) documentRequest(token, path string, u upload) *http.Request {
	d.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if u.documentType != "" {
		if err := form.WriteField("documentType", u.documentType); err != nil {
			d.t.Fatal(err)
		}
	}
	if u.name != "" {
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition("file", u.name)}, "Content-Type": {"application/octet-stream"},
		})
		if err != nil {
			d.t.Fatal(err)
		}
		if _, err := part.Write([]byte(u.content)); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		d.t.Fatal(err)
	}
	r := d.request(token, http.MethodPost, path, body.String())
	r.Header.Set("Content-Type", form.FormDataContentType())
	return r
}

// app calls with an access token.
func (d *dwolla) app(method, path, body string) reply {
	d.t.Helper()
	return d.call(d.accessToken(), method, path, body)
}

// create posts a body that is to create something, and returns its path.
func (d *dwolla) create(path string, body members) string {
	d.t.Helper()
	return d.location(d.app(http.MethodPost, path, body.String()))
}

func (d *dwolla) location(r reply) string {
	d.t.Helper()
	path, ok := strings.CutPrefix(r.header.Get("Location"), d.url)
	if r.status != http.StatusCreated || !ok || len(r.body) != 0 {
		d.t.Fatalf("status %d, Location %q: %s", r.status, r.header.Get("Location"), r.body)
	}
	return path
}

// resource is the part of any answer for tests.
type resource struct {
	ID, Status, Type, Name, FirstName, FailureReason string
	VerificationStatus, DocumentVerificationStatus   string
	Removed                                          bool
	Links                                            map[string]struct{ Href string } `json:"_links"`
}

func (d *dwolla) read(path string) resource {
	d.t.Helper()
	var r resource
	d.app(http.MethodGet, path, "").decode(d.t, http.StatusOK, &r)
	return r
}

// wantLinks checks that these are the links of the names, and no others of them.
func (r resource) wantLinks(t *testing.T, want string, names ...string) {
	t.Helper()
	for _, name := range names {
		_, there := r.Links[name]
		if should := strings.Contains(" "+want+" ", " "+name+" "); there != should {
			t.Errorf("link %s is there: %t, want %t", name, there, should)
		}
	}
}

func (d *dwolla) businessCustomer() emulator.Customer {
	d.t.Helper()
	return d.customer(emulator.Customer{Type: "business"})
}
