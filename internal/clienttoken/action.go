package clienttoken

import "fmt"

// Action is what a client token lets a drop-in component do at Dwolla, in
// Dwolla's spelling. Values come from the constants or from [ParseAction].
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

// Actions lists every action that Dwolla documents, in the order of the
// constants. It is a fresh slice: the caller may change it.
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

// ParseAction returns the action with exactly that spelling. Letter case
// counts: Dwolla documents no other form, and what nobody knows is refused.
//
// Dwolla's pages spell one action in two ways, beneficialowners.delete and
// beneficialowner.delete. Both are known, each is sent on as it came, and the
// policy treats them as one (docs/decisions/0003).
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
		return "", fmt.Errorf("no action is called %.100q", s)
	}
}

// needsCustomer reports whether a token for a makes no sense without a
// Customer. Two do: there is no Customer yet when one is created, and a
// business picks its classification before it is one.
func (a Action) needsCustomer() bool {
	return a != ActionCustomerCreate && a != ActionBusinessClassificationsRead
}
