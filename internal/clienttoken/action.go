package clienttoken

import "fmt"

// Action is what a client token permits, in Dwolla's spelling. Values come from
// the constants or from [ParseAction].
type Action string

// The actions that Dwolla documents for its drop-in components
// (https://developers.dwolla.com/docs/drop-in-components).
const (
	ActionCustomerCreate                    Action = "customer.create"
	ActionCustomerRead                      Action = "customer.read"
	ActionCustomerUpdate                    Action = "customer.update"
	ActionCustomerDocumentsCreate           Action = "customer.documents.create"
	ActionCustomerDocumentsRead             Action = "customer.documents.read"
	ActionCustomerFundingSourcesCreate      Action = "customer.fundingsources.create"
	ActionCustomerFundingSourcesRead        Action = "customer.fundingsources.read"
	ActionCustomerMicroDepositsCreate       Action = "customer.microdeposits.create"
	ActionCustomerMicroDepositsVerify       Action = "customer.microdeposits.verify"
	ActionCustomerTransfersSend             Action = "customer.transfers.send"
	ActionBusinessClassificationsRead       Action = "businessclassifications.read"
	ActionBeneficialOwnersCreate            Action = "beneficialowners.create"
	ActionBeneficialOwnersRead              Action = "beneficialowners.read"
	ActionBeneficialOwnersUpdate            Action = "beneficialowners.update"
	ActionBeneficialOwnersDelete            Action = "beneficialowners.delete"
	ActionBeneficialOwnerDocumentsCreate    Action = "beneficialowner.documents.create"
	ActionBeneficialOwnershipRead           Action = "beneficialownership.read"
	ActionBeneficialOwnershipCertify        Action = "beneficialownership.certify"
	actionBeneficialOwnersDeleteAlternative Action = "beneficialowner.delete"
)

// Actions lists every documented action, in the order of the constants. The
// caller may change the slice.
func Actions() []Action {
	return []Action{
		ActionCustomerCreate,
		ActionCustomerRead,
		ActionCustomerUpdate,
		ActionCustomerDocumentsCreate,
		ActionCustomerDocumentsRead,
		ActionCustomerFundingSourcesCreate,
		ActionCustomerFundingSourcesRead,
		ActionCustomerMicroDepositsCreate,
		ActionCustomerMicroDepositsVerify,
		ActionCustomerTransfersSend,
		ActionBusinessClassificationsRead,
		ActionBeneficialOwnersCreate,
		ActionBeneficialOwnersRead,
		ActionBeneficialOwnersUpdate,
		ActionBeneficialOwnersDelete,
		ActionBeneficialOwnerDocumentsCreate,
		ActionBeneficialOwnershipRead,
		ActionBeneficialOwnershipCertify,
		actionBeneficialOwnersDeleteAlternative,
	}
}

// ParseAction returns the action with exactly that spelling, letter case
// included. It refuses unknown actions.
//
// Dwolla documents one action under two spellings: beneficialowners.delete and
// beneficialowner.delete. Each is sent to Dwolla unchanged, and the policy treats
// them as one (docs/decisions/0003).
func ParseAction(s string) (Action, error) {
	switch a := Action(s); a {
	case ActionCustomerCreate, ActionCustomerRead, ActionCustomerUpdate,
		ActionCustomerDocumentsCreate, ActionCustomerDocumentsRead,
		ActionCustomerFundingSourcesCreate, ActionCustomerFundingSourcesRead,
		ActionCustomerMicroDepositsCreate, ActionCustomerMicroDepositsVerify,
		ActionCustomerTransfersSend, ActionBusinessClassificationsRead,
		ActionBeneficialOwnersCreate, ActionBeneficialOwnersRead,
		ActionBeneficialOwnersUpdate, ActionBeneficialOwnersDelete,
		ActionBeneficialOwnerDocumentsCreate, ActionBeneficialOwnershipRead,
		ActionBeneficialOwnershipCertify, actionBeneficialOwnersDeleteAlternative:
		return a, nil
	default:
		return "", fmt.Errorf("unknown action %.100q", s)
	}
}

// needsCustomer reports whether a token for a needs a Customer. Two actions come
// before there is one: customer.create, and reading the list of business
// classifications.
func (a Action) needsCustomer() bool {
	return a != ActionCustomerCreate && a != ActionBusinessClassificationsRead
}
