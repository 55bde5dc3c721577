package emulator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	testBank = "SANDBOX TEST BANK"
	// maxFundingSources is the bound for each Customer, removed ones included.
	maxFundingSources = 50
)

// FundingSource is a bank account or the balance of a Customer.
type FundingSource struct {
	ID, CustomerID  string
	Type            string // bank or balance
	Status          string // unverified or verified
	Name            string
	BankAccountType string // checking, savings, general-ledger or loan; "" for a balance
	BankName        string // "" for a balance
	Balance         string // in dollars, such as 10.00; "" for a bank
	// Fingerprint is equal for equal account numbers, which are not kept.
	Fingerprint string
	Removed     bool
	Created     time.Time
}

// AddFundingSource adds a funding source to a Customer and returns it as stored.
// Empty fields get defaults: a new ID, the type bank, the status verified, made-up
// names, the balance 0.00, and the present time. A Customer has one balance at
// most. It sends no webhook.
func (e *Emulator) AddFundingSource(customerID string, f FundingSource) (FundingSource, error) {
	f = f.withDefaults()
	f.CustomerID = strings.ToLower(customerID)
	if f.Created.IsZero() {
		f.Created = e.options.Now()
	}
	if err := f.check(); err != nil {
		return FundingSource{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, exists := e.customers[f.CustomerID]; !exists {
		return FundingSource{}, fmt.Errorf("emulator: no Customer %q", f.CustomerID)
	}
	if _, taken := e.fundingSources[f.ID]; taken {
		return FundingSource{}, fmt.Errorf("emulator: funding source id %s is taken", f.ID)
	}
	for _, id := range e.fundingSourcesOf[f.CustomerID] {
		if f.Type == "balance" && e.fundingSources[id].Type == "balance" {
			return FundingSource{}, fmt.Errorf("emulator: Customer %s has a balance already", f.CustomerID)
		}
	}
	e.keepFundingSource(f)
	return f, nil
}

func (f FundingSource) withDefaults() FundingSource {
	f.ID = strings.ToLower(orElse(f.ID, newUUID()))
	f.Type = orElse(f.Type, "bank")
	f.Status = orElse(f.Status, "verified")
	if f.Type == "balance" {
		f.Name = orElse(f.Name, "Balance")
		f.Balance = orElse(f.Balance, "0.00")
		return f
	}
	f.Name = orElse(f.Name, "Jane's checking")
	f.BankAccountType = orElse(f.BankAccountType, "checking")
	f.BankName = orElse(f.BankName, testBank)
	f.Fingerprint = orElse(f.Fingerprint, fingerprint(f.ID, ""))
	return f
}

func (f FundingSource) check() error {
	switch {
	case !isUUID(f.ID):
		return fmt.Errorf("emulator: funding source id %q is not a UUID", f.ID)
	case f.Type != "bank" && f.Type != "balance":
		return fmt.Errorf("emulator: unknown funding source type %q", f.Type)
	case f.Status != "unverified" && f.Status != "verified":
		return fmt.Errorf("emulator: unknown funding source status %q", f.Status)
	case f.Type == "bank" && !slices.Contains(bankAccountTypes(), f.BankAccountType):
		return fmt.Errorf("emulator: unknown bank account type %q", f.BankAccountType)
	case f.Type == "balance" && f.Balance != "0.00" && !isMoney(f.Balance):
		return fmt.Errorf("emulator: balance %q is not dollars and cents", f.Balance)
	default:
		return nil
	}
}

// fingerprint is the digest of a bank account.
func fingerprint(routingNumber, accountNumber string) string {
	digest := sha256.Sum256([]byte(routingNumber + " " + accountNumber))
	return hex.EncodeToString(digest[:])
}

func bankAccountTypes() []string { return []string{"checking", "savings", "general-ledger", "loan"} }

// keepFundingSource stores a new funding source. The caller holds the lock.
func (e *Emulator) keepFundingSource(f FundingSource) {
	e.fundingSources[f.ID] = f
	e.fundingSourcesOf[f.CustomerID] = append(e.fundingSourcesOf[f.CustomerID], f.ID)
}
