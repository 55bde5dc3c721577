package emulator

import "cmp"

// Controller is the person in control of a business. The zero value means none.
type Controller struct {
	FirstName, LastName, Title string
	Address                    Address
}

// Address is a postal address. Country is empty in an address of a Customer.
type Address struct {
	Address1, Address2, Address3, City string
	State                              string // or province or region
	PostalCode, Country                string
}

// withBusinessDefaults fills in the missing members of a seeded business.
func (c Customer) withBusinessDefaults() Customer {
	c.BusinessName = orElse(c.BusinessName, "Jane's Bakery")
	c.BusinessType = orElse(c.BusinessType, "llc")
	c.BusinessClassification = orElse(c.BusinessClassification, defaultIndustry)
	if !c.hasController() {
		return c
	}
	c.Certification = orElse(c.Certification, "uncertified")
	c.Controller = cmp.Or(c.Controller, Controller{
		FirstName: "John", LastName: "Controller", Title: "CEO",
		Address: Address{
			Address1: "1 Main Street", City: "Des Moines", State: "IA", PostalCode: "50309", Country: "US",
		},
	})
	return c
}

// hasController reports whether the Customer is a business with a Controller and
// beneficial owners. A sole proprietorship has neither.
func (c Customer) hasController() bool {
	return c.Type == "business" && c.BusinessType != soleProprietorship
}
