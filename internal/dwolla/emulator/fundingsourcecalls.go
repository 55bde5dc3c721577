package emulator

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

type fundingSourceResource struct {
	Links           links    `json:"_links"`
	Embedded        any      `json:"_embedded,omitempty"`
	ID              string   `json:"id"`
	Status          string   `json:"status"`
	Type            string   `json:"type"`
	BankAccountType string   `json:"bankAccountType,omitempty"`
	Name            string   `json:"name"`
	Created         string   `json:"created"`
	Removed         bool     `json:"removed"`
	Channels        []string `json:"channels"`
	BankName        string   `json:"bankName,omitempty"`
	Fingerprint     string   `json:"fingerprint,omitempty"`
}

type balanceResource struct {
	Links       links  `json:"_links"`
	Balance     Amount `json:"balance"`
	Total       Amount `json:"total"`
	LastUpdated string `json:"lastUpdated"`
}

func noFundingSource() answer {
	return refuse(http.StatusNotFound, "The funding source was not found.")
}

// fundingSourceResource is a funding source on the wire. The caller holds the lock.
func (e *Emulator) fundingSourceResource(c call, f FundingSource) fundingSourceResource {
	r := fundingSourceResource{
		Links: links{
			"self":     c.link(fundingSourcesPath+f.ID, "funding-source"),
			"customer": c.link(customersPath+f.CustomerID, "customer"),
		},
		ID: f.ID, Status: f.Status, Type: f.Type, BankAccountType: f.BankAccountType, Name: f.Name,
		Created: wireTime(f.Created), Removed: f.Removed, Channels: []string{}, BankName: f.BankName, Fingerprint: f.Fingerprint,
	}
	if f.Type == "balance" {
		r.Links["balance"] = c.link(fundingSourcesPath+f.ID+"/balance", "balance")
		return r
	}
	r.Channels = append(r.Channels, "ach")
	if f.Removed {
		return r
	}
	r.Links["remove"] = c.link(fundingSourcesPath+f.ID, "funding-source")
	if f.Status == "unverified" {
		r.Links[e.microDepositsRelation(f.ID)] = c.link(fundingSourcesPath+f.ID+"/micro-deposits", "micro-deposits")
	}
	return r
}

// microDepositsRelation names what an unverified bank's micro-deposits wait for.
func (e *Emulator) microDepositsRelation(id string) string {
	deposits, started := e.microDeposits[id]
	switch {
	case !started:
		return "initiate-micro-deposits"
	case deposits.failed < maxAttempts:
		return "verify-micro-deposits"
	default:
		return "failed-verification-micro-deposits"
	}
}

func (c call) balanceResource(f FundingSource) balanceResource {
	amount := Amount{Currency: "USD", Value: f.Balance}
	return balanceResource{
		Links: links{
			"self":           c.link(fundingSourcesPath+f.ID+"/balance", "balance"),
			"funding-source": c.link(fundingSourcesPath+f.ID, "funding-source"),
		},
		Balance: amount, Total: amount, LastUpdated: wireTime(f.Created),
	}
}

// listFundingSources lists the balance first, since the drop-in component shows the
// balance of the first one.
func (e *Emulator) listFundingSources(c call) answer {
	query := c.request.URL.Query()
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[c.id]; !exists {
		return noCustomer()
	}
	var sources []fundingSourceResource
	for _, id := range e.fundingSourcesOf[c.id] {
		f := e.fundingSources[id]
		if f.Removed && query.Get("removed") == "false" {
			continue
		}
		resource := e.fundingSourceResource(c, f)
		if f.Type == "balance" && query.Get("embed") == "balance" {
			resource.Embedded = map[string]balanceResource{"balance": c.balanceResource(f)}
		}
		sources = append(sources, resource)
	}
	slices.SortStableFunc(sources, func(a, b fundingSourceResource) int {
		return strings.Compare(a.Type, b.Type) // balance, then bank
	})
	return list(c, customersPath+c.id+"/funding-sources", "funding-source", sources)
}

func (e *Emulator) readFundingSource(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, exists := e.fundingSources[c.id]
	if !exists {
		return noFundingSource()
	}
	return answer{status: http.StatusOK, body: e.fundingSourceResource(c, f)}
}

func (e *Emulator) readBalance(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	f, exists := e.fundingSources[c.id]
	if !exists || f.Type != "balance" {
		return noFundingSource()
	}
	return answer{status: http.StatusOK, body: c.balanceResource(f)}
}

// fundingSourceForm is the body of POST /customers/{id}/funding-sources.
type fundingSourceForm struct {
	RoutingNumber   string `json:"routingNumber"`
	AccountNumber   string `json:"accountNumber"`
	BankAccountType string `json:"bankAccountType"`
	Name            string `json:"name"`
}

func (f fundingSourceForm) check() []fieldError {
	var k checks
	k.valid("/routingNumber", f.RoutingNumber, isRoutingNumber)
	k.valid("/accountNumber", f.AccountNumber, isAccountNumber)
	k.valid("/bankAccountType", f.BankAccountType, func(s string) bool { return slices.Contains(bankAccountTypes(), s) })
	k.valid("/name", f.Name, isName)
	return k.errs
}

// createFundingSource adds a bank by its account number. The number is not kept.
func (e *Emulator) createFundingSource(c call) answer {
	var form fundingSourceForm
	if !c.decode(&form) {
		return notJSON()
	}
	if errs := form.check(); errs != nil {
		return invalid(errs...)
	}
	now := e.options.Now()
	return e.once(c, OpCreateFundingSource, func() answer {
		customer, exists := e.customers[c.id]
		switch {
		case !exists:
			return noCustomer()
		case !customer.active():
			return refuse(http.StatusForbidden, "Not authorized to create funding source.")
		case len(e.fundingSourcesOf[c.id]) >= maxFundingSources:
			return tooManyResources("The Customer has too many funding sources.")
		}
		f := FundingSource{
			ID: newUUID(), CustomerID: c.id, Type: "bank", Status: "unverified", Name: form.Name,
			BankAccountType: form.BankAccountType, BankName: testBank,
			Fingerprint: fingerprint(form.RoutingNumber, form.AccountNumber), Created: now,
		}
		if same, duplicate := e.bankOf(c.id, f.Fingerprint); duplicate {
			return c.duplicate("Bank already exists: id="+same, c.link(fundingSourcesPath+same, "funding-source"))
		}
		e.keepFundingSource(f)
		e.sendEventAbout(topicFundingAdded, c.id, fundingSourcesPath+f.ID)
		return created(c.url(fundingSourcesPath + f.ID))
	})
}

// bankOf returns the id of the Customer's bank with the fingerprint.
func (e *Emulator) bankOf(customerID, fingerprint string) (string, bool) {
	for _, id := range e.fundingSourcesOf[customerID] {
		if f := e.fundingSources[id]; !f.Removed && f.Fingerprint == fingerprint {
			return id, true
		}
	}
	return "", false
}

// duplicate refuses an existing resource.
func (call) duplicate(message string, about link) answer {
	return answer{status: http.StatusBadRequest, body: struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Links   links  `json:"_links"`
	}{"DuplicateResource", message, links{"about": about}}}
}

// updateFundingSource renames a bank or removes it.
func (e *Emulator) updateFundingSource(c call) answer {
	var form struct {
		Name    string `json:"name"`
		Removed bool   `json:"removed"`
	}
	if !c.decode(&form) {
		return notJSON()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	f, exists := e.fundingSources[c.id]
	switch {
	case !exists:
		return noFundingSource()
	case f.Removed || f.Type != "bank":
		return wrongState(fmt.Sprintf("A %s cannot be changed.", f.Type))
	case !form.Removed && !isName(form.Name):
		return invalid(fieldError{Code: "Invalid", Message: "Name invalid.", Path: "/name"})
	}
	topic := topicFundingUpdated
	if form.Removed {
		topic = topicFundingRemoved
	}
	f.Removed, f.Name = form.Removed, orElse(form.Name, f.Name)
	e.fundingSources[f.ID] = f
	e.sendEventAbout(topic, f.CustomerID, fundingSourcesPath+f.ID)
	return answer{status: http.StatusOK, body: e.fundingSourceResource(c, f)}
}
