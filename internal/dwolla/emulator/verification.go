package emulator

import "strings"

// What a business in status document must prove. Others prove who they are.
const (
	needsController = "controller"
	needsBusiness   = "business"
	needsBoth       = "controller-and-business"
)

// verify decides the status of a personal or business Customer whose data has just
// arrived, by the magic names of Dwolla's sandbox.
func (c Customer) verify() Customer {
	person, company := c.FirstName, ""
	if c.Type == "business" && c.BusinessType != soleProprietorship {
		person, company = c.Controller.FirstName, c.BusinessName
	}
	person, company = strings.ToLower(person), strings.ToLower(company)
	c.DocumentNeeded = ""
	switch {
	case person == "suspended":
		c.Status = "suspended"
	case person == "retry" || company == "retry":
		c.Status = "retry"
	case person == "document" || company == "document":
		c.Status, c.DocumentNeeded = "document", c.documentNeeded(person, company)
	case person == "kba" && c.Type == "personal":
		c.Status = "kba"
	default:
		c.Status = "verified"
	}
	return c
}

func (c Customer) documentNeeded(person, company string) string {
	switch {
	case c.Type != "business" || c.BusinessType == soleProprietorship:
		return ""
	case person != "document":
		return needsBusiness
	case company != "document":
		return needsController
	default:
		return needsBoth
	}
}

// verifyAgain decides after a retry. There is only one.
func (c Customer) verifyAgain() Customer {
	c = c.verify()
	if c.Status == "retry" {
		c.Status = "document"
		if c.Type == "business" && c.BusinessType != soleProprietorship {
			c.DocumentNeeded = needsBoth
		}
	}
	return c
}

// verifiable reports whether Dwolla verifies Customers of the type.
func (c Customer) verifiable() bool { return c.Type == "personal" || c.Type == "business" }

// verifyOwner decides the status of an owner whose data has just arrived, by its
// magic name.
func verifyOwner(firstName string) string {
	switch name := strings.ToLower(firstName); name {
	case "incomplete", "document":
		return name
	default:
		return "verified"
	}
}
