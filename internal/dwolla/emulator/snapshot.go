package emulator

import (
	"encoding/json"
	"fmt"
	"time"
)

// snapshot is what outlives a restart: the resources. Tokens, faults and webhooks under
// way do not.
type snapshot struct {
	Account        string                     `json:"account"`
	Customers      map[string]Customer        `json:"customers"`
	Owners         map[string]BeneficialOwner `json:"owners"`
	OwnersOf       map[string][]string        `json:"ownersOf"`
	FundingSources map[string]FundingSource   `json:"fundingSources"`
	FundsOf        map[string][]string        `json:"fundingSourcesOf"`
	MicroDeposits  map[string]keptDeposits    `json:"microDeposits"`
	Documents      map[string]Document        `json:"documents"`
	DocumentsOf    map[string][]string        `json:"documentsOf"`
}

// keptDeposits are microDeposits in a snapshot.
type keptDeposits struct {
	Created time.Time `json:"created"`
	Failed  int       `json:"failed"`
}

// Snapshot returns all Customers and what belongs to them, as JSON for [Emulator.Restore].
func (e *Emulator) Snapshot() ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := snapshot{
		Account:   e.accountID,
		Customers: e.customers, Owners: e.owners, OwnersOf: e.ownersOf,
		FundingSources: e.fundingSources, FundsOf: e.fundingSourcesOf, MicroDeposits: map[string]keptDeposits{},
		Documents: e.documents, DocumentsOf: e.documentsOf,
	}
	for id, d := range e.microDeposits {
		kept.MicroDeposits[id] = keptDeposits{d.created, d.failed}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("emulator: writing a snapshot: %w", err)
	}
	return text, nil
}

// Restore replaces all Customers, and what belongs to them, by those of a snapshot. It
// sends no webhook.
func (e *Emulator) Restore(text []byte) error {
	var kept snapshot
	if err := json.Unmarshal(text, &kept); err != nil {
		return fmt.Errorf("emulator: reading a snapshot: %w", err)
	}
	if kept.Account == "" || kept.Customers == nil {
		return fmt.Errorf("emulator: this is not a snapshot: it names no account or no Customers")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accountID = kept.Account
	e.customers, e.correlationIDs = kept.Customers, map[string]string{}
	for id, c := range e.customers {
		if c.CorrelationID != "" {
			e.correlationIDs[c.CorrelationID] = id
		}
	}
	e.owners, e.ownersOf = orEmpty(kept.Owners), orEmpty(kept.OwnersOf)
	e.fundingSources, e.fundingSourcesOf = orEmpty(kept.FundingSources), orEmpty(kept.FundsOf)
	e.documents, e.documentsOf = orEmpty(kept.Documents), orEmpty(kept.DocumentsOf)
	e.microDeposits = map[string]microDeposits{}
	for id, d := range kept.MicroDeposits {
		e.microDeposits[id] = microDeposits{d.Created, d.Failed}
	}
	return nil
}

func orEmpty[M ~map[string]V, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}
