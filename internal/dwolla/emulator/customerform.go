package emulator

import "slices"

const soleProprietorship = "soleProprietorship"

// customerForm is the body of a request about a Customer. Dates of birth, SSNs, EINs
// and passports are checked, but not kept.
type customerForm struct {
	FirstName     string `json:"firstName"`
	LastName      string `json:"lastName"`
	Email         string `json:"email"`
	Type          string `json:"type"`
	Status        string `json:"status"`
	CorrelationID string `json:"correlationId"`
	Phone         string `json:"phone"`

	Address1    string `json:"address1"`
	Address2    string `json:"address2"`
	City        string `json:"city"`
	State       string `json:"state"`
	PostalCode  string `json:"postalCode"`
	DateOfBirth string `json:"dateOfBirth"`
	SSN         string `json:"ssn"`

	BusinessName           string          `json:"businessName"`
	DoingBusinessAs        string          `json:"doingBusinessAs"`
	BusinessType           string          `json:"businessType"`
	BusinessClassification string          `json:"businessClassification"`
	EIN                    string          `json:"ein"`
	Website                string          `json:"website"`
	Controller             *controllerForm `json:"controller"`
}

// personForm is a Controller or a beneficial owner.
type personForm struct {
	FirstName   string      `json:"firstName"`
	LastName    string      `json:"lastName"`
	DateOfBirth string      `json:"dateOfBirth"`
	SSN         string      `json:"ssn"`
	Address     addressForm `json:"address"`
	Passport    struct {
		Number  string `json:"number"`
		Country string `json:"country"`
	} `json:"passport"`
}

type controllerForm struct {
	personForm

	Title string `json:"title"`
}

// addressForm is an address outside or inside of the USA.
type addressForm struct {
	Address1   string `json:"address1"`
	Address2   string `json:"address2,omitempty"`
	Address3   string `json:"address3,omitempty"`
	City       string `json:"city"`
	State      string `json:"stateProvinceRegion"`
	PostalCode string `json:"postalCode,omitempty"`
	Country    string `json:"country"`
}

// applyTo returns the Customer with the given members.
func (f customerForm) applyTo(c Customer) Customer {
	for member, value := range map[*string]string{
		&c.FirstName: f.FirstName, &c.LastName: f.LastName, &c.Email: f.Email, &c.Type: f.Type,
		&c.CorrelationID: f.CorrelationID, &c.Phone: f.Phone,
		&c.Address.Address1: f.Address1, &c.Address.Address2: f.Address2, &c.Address.City: f.City,
		&c.Address.State: f.State, &c.Address.PostalCode: f.PostalCode,
		&c.BusinessName: f.BusinessName, &c.DoingBusinessAs: f.DoingBusinessAs, &c.Website: f.Website,
		&c.BusinessType: f.BusinessType, &c.BusinessClassification: f.BusinessClassification,
	} {
		*member = orElse(value, *member)
	}
	if f.Controller != nil && c.hasController() {
		c.Controller = Controller{
			FirstName: f.Controller.FirstName, LastName: f.Controller.LastName, Title: f.Controller.Title,
			Address: Address(f.Controller.Address),
		}
	}
	if c.hasController() {
		c.Certification = orElse(c.Certification, "uncertified")
	}
	return c
}

// check checks the data that Dwolla needs for the Customer that the form makes. ssn
// says which SSNs are good.
func (f customerForm) check(k *checks, c Customer, ssn func(string) bool) {
	Customer{
		FirstName: f.FirstName, LastName: f.LastName, Email: f.Email,
		Type: c.Type, CorrelationID: f.CorrelationID, BusinessName: f.BusinessName,
	}.check(k)
	if !c.verifiable() {
		return
	}
	f.checkAddress(k, k.valid)
	if !c.hasController() {
		k.birth("/dateOfBirth", f.DateOfBirth)
		k.valid("/ssn", f.SSN, ssn)
	}
	if c.Type == "business" {
		f.checkBusiness(k, ssn)
	}
}

func (f customerForm) checkAddress(k *checks, valid func(path, value string, valid func(string) bool)) {
	valid("/address1", f.Address1, isAddressLine)
	k.optional("/address2", f.Address2, isAddressLine)
	valid("/city", f.City, isAddressLine)
	valid("/state", f.State, isState)
	valid("/postalCode", f.PostalCode, isPostalCode)
}

func (f customerForm) checkBusiness(k *checks, ssn func(string) bool) {
	k.present("/businessName", f.BusinessName)
	k.valid("/businessClassification", f.BusinessClassification, knownIndustry)
	k.valid("/businessType", f.BusinessType, func(s string) bool { return slices.Contains(businessTypes(), s) })
	if f.BusinessType == soleProprietorship {
		k.optional("/ein", f.EIN, isEIN)
		return
	}
	k.valid("/ein", f.EIN, isEIN)
	if f.Controller == nil {
		k.present("/controller", "")
		return
	}
	k.valid("/controller/title", f.Controller.Title, isName)
	f.Controller.check(k, "/controller", ssn)
}

func businessTypes() []string {
	return []string{"llc", "corporation", "partnership", soleProprietorship}
}

// check checks a person at path. A person without a US address may have a passport
// in place of an SSN.
func (f personForm) check(k *checks, path string, ssn func(string) bool) {
	k.valid(path+"/firstName", f.FirstName, isName)
	k.valid(path+"/lastName", f.LastName, isName)
	k.birth(path+"/dateOfBirth", f.DateOfBirth)
	k.valid(path+"/address/address1", f.Address.Address1, isAddressLine)
	k.valid(path+"/address/city", f.Address.City, isAddressLine)
	k.valid(path+"/address/stateProvinceRegion", f.Address.State, isAddressLine)
	k.valid(path+"/address/country", f.Address.Country, isCountry)
	if f.Address.Country == "US" {
		k.valid(path+"/address/postalCode", f.Address.PostalCode, isPostalCode)
	}
	if f.Passport.Number != "" && f.Address.Country != "US" {
		k.valid(path+"/passport/number", f.Passport.Number, isName)
		k.valid(path+"/passport/country", f.Passport.Country, isCountry)
		return
	}
	k.valid(path+"/ssn", f.SSN, ssn)
}
