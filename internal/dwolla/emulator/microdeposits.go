package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const maxAttempts = 3 // to verify the amounts

// microDeposits are two small deposits that prove who reads a bank account.
type microDeposits struct {
	created time.Time
	failed  int // attempts to verify them
}

// microDepositsForm is the body of POST /funding-sources/{id}/micro-deposits. It
// starts the deposits without amounts, and verifies them with amounts.
type microDepositsForm struct {
	Amount1 *Amount `json:"amount1"`
	Amount2 *Amount `json:"amount2"`
}

func (f microDepositsForm) verifies() bool { return f.Amount1 != nil || f.Amount2 != nil }

func (c call) microDepositsForm() (microDepositsForm, bool) {
	var form microDepositsForm
	ok := len(c.body) == 0 || json.Unmarshal(c.body, &form) == nil
	return form, ok
}

// microDepositsAction is the client token's action for a start or a verification.
func microDepositsAction(c call) string {
	if form, _ := c.microDepositsForm(); form.verifies() {
		return "customer.microdeposits.verify"
	}
	return "customer.microdeposits.create"
}

func (e *Emulator) postMicroDeposits(c call) answer {
	form, ok := c.microDepositsForm()
	if !ok {
		return notJSON()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	source, exists := e.fundingSources[c.id]
	switch {
	case !exists || source.Removed:
		return noFundingSource()
	case source.Type != "bank":
		return wrongState("Only a bank can be verified.")
	case source.Status == "verified":
		return wrongState("Bank already verified.")
	case form.verifies():
		return e.verifyMicroDeposits(c, source, form)
	}
	if _, started := e.microDeposits[c.id]; started {
		return tooManyResources("Micro-deposits already initiated for this funding source.")
	}
	e.startMicroDeposits(source)
	return created(c.url(fundingSourcesPath + c.id + "/micro-deposits"))
}

// StartMicroDeposits starts the micro-deposits of an unverified bank, and sends the
// webhooks.
func (e *Emulator) StartMicroDeposits(fundingSourceID string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	source, exists := e.fundingSources[strings.ToLower(fundingSourceID)]
	if !exists || source.Type != "bank" || source.Status != "unverified" {
		return fmt.Errorf("emulator: %q is no unverified bank", fundingSourceID)
	}
	e.startMicroDeposits(source)
	return nil
}

// startMicroDeposits starts deposits that arrive at once. The caller holds the lock.
func (e *Emulator) startMicroDeposits(source FundingSource) {
	e.microDeposits[source.ID] = microDeposits{created: e.options.Now()}
	e.sendEventAbout(topicDepositsAdded, source.CustomerID, fundingSourcesPath+source.ID)
	e.sendEventAbout(topicDepositsCompleted, source.CustomerID, fundingSourcesPath+source.ID)
}

// verifyMicroDeposits follows Dwolla's sandbox: any two amounts below 0.10 are right,
// except 0.09 twice. The caller holds the lock.
func (e *Emulator) verifyMicroDeposits(c call, source FundingSource, form microDepositsForm) answer {
	deposits, started := e.microDeposits[source.ID]
	if !started {
		return refuse(http.StatusNotFound, "The requested resource was not found.")
	}
	if deposits.failed >= maxAttempts {
		return wrongState("Too many attempts.")
	}
	if errs := form.check(); errs != nil {
		return invalid(errs...)
	}
	if form.Amount1.Value == "0.09" && form.Amount2.Value == "0.09" {
		deposits.failed++
		e.microDeposits[source.ID] = deposits
		if deposits.failed == maxAttempts {
			e.sendEventAbout(topicDepositsExhausted, source.CustomerID, fundingSourcesPath+source.ID)
		}
		return invalid(fieldError{Code: "Invalid", Message: "Wrong amount(s).", Path: "/amount1"})
	}
	source.Status = "verified"
	e.fundingSources[source.ID] = source
	e.sendEventAbout(topicFundingVerified, source.CustomerID, fundingSourcesPath+source.ID)
	return answer{status: http.StatusOK, body: map[string]any{
		"_links": selfLinks{Self: c.link(fundingSourcesPath+source.ID+"/micro-deposits", "micro-deposits")},
	}}
}

func (f microDepositsForm) check() []fieldError {
	var k checks
	f.Amount1.checkDeposit(&k, "/amount1")
	f.Amount2.checkDeposit(&k, "/amount2")
	return k.errs
}

func (a *Amount) checkDeposit(k *checks, path string) {
	switch {
	case a == nil:
		k.present(path, "")
	case a.Currency != "USD":
		k.add("Invalid", path+"/currency", "Currency must be USD.")
	case len(a.Value) != len("0.0x") || !strings.HasPrefix(a.Value, "0.0") || !isMoney(a.Value):
		k.add("Invalid", path+"/value", "Invalid amount.")
	}
}

func (e *Emulator) readMicroDeposits(c call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	deposits, started := e.microDeposits[c.id]
	if !started {
		return refuse(http.StatusNotFound, "The requested resource was not found.")
	}
	resource := map[string]any{
		"_links":  e.microDepositLinks(c, e.fundingSources[c.id]),
		"created": wireTime(deposits.created),
		"status":  "processed",
	}
	return answer{status: http.StatusOK, body: resource}
}

func (e *Emulator) microDepositLinks(c call, source FundingSource) links {
	path := fundingSourcesPath + source.ID + "/micro-deposits"
	l := links{"self": c.link(path, "micro-deposits")}
	if source.Status == "unverified" && e.microDeposits[source.ID].failed < maxAttempts {
		l["verify-micro-deposits"] = c.link(path, "micro-deposits")
	}
	return l
}

// wrongState refuses a change that the state of the resource does not allow.
func wrongState(message string) answer {
	return refuseAs(http.StatusForbidden, "InvalidResourceState", message)
}

func tooManyResources(message string) answer {
	return refuseAs(http.StatusBadRequest, "MaxNumberOfResources", message)
}
