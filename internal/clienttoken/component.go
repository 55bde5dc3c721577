package clienttoken

import "fmt"

// Component is a drop-in component, by the name of its custom element. In a
// policy it stands for all of its actions.
type Component string

// The drop-in components of dwolla-web.js 3.0.0
// (https://developers.dwolla.com/docs/drop-in-components).
const (
	ComponentCustomerCreate      Component = "dwolla-customer-create"
	ComponentCustomerUpdate      Component = "dwolla-customer-update"
	ComponentPersonalVCR         Component = "dwolla-personal-vcr"
	ComponentBusinessVCR         Component = "dwolla-business-vcr"
	ComponentBeneficialOwners    Component = "dwolla-beneficial-owners"
	ComponentDocumentUpload      Component = "dwolla-document-upload"
	ComponentFundingSourceCreate Component = "dwolla-funding-source-create"
	ComponentMicroDepositsVerify Component = "dwolla-micro-deposits-verify"
	ComponentBalanceDisplay      Component = "dwolla-balance-display"
	ComponentPayIn               Component = "dwolla-payin"
	ComponentAccountOpening      Component = "dwolla-account-opening"
)

// Components lists every drop-in component in the order of the constants. The
// caller may change the slice.
func Components() []Component {
	return []Component{
		ComponentCustomerCreate,
		ComponentCustomerUpdate,
		ComponentPersonalVCR,
		ComponentBusinessVCR,
		ComponentBeneficialOwners,
		ComponentDocumentUpload,
		ComponentFundingSourceCreate,
		ComponentMicroDepositsVerify,
		ComponentBalanceDisplay,
		ComponentPayIn,
		ComponentAccountOpening,
	}
}

// ParseComponent returns the component with exactly that element name.
func ParseComponent(s string) (Component, error) {
	for _, c := range Components() {
		if string(c) == s {
			return c, nil
		}
	}
	return "", fmt.Errorf("unknown drop-in component %.100q", s)
}

// Actions lists the actions of c. It is empty for dwolla-account-opening: Dwolla
// does not document its actions.
func (c Component) Actions() []Action {
	switch c {
	case ComponentCustomerCreate:
		return []Action{ActionCustomerCreate}
	case ComponentCustomerUpdate:
		return []Action{ActionCustomerRead, ActionCustomerUpdate}
	case ComponentPersonalVCR:
		return []Action{
			ActionCustomerCreate, ActionCustomerRead, ActionCustomerUpdate, ActionCustomerDocumentsCreate,
		}
	case ComponentBusinessVCR:
		return []Action{
			ActionCustomerCreate, ActionCustomerRead, ActionCustomerUpdate, ActionCustomerDocumentsCreate,
			ActionBusinessClassificationsRead,
		}
	case ComponentBeneficialOwners:
		return []Action{
			ActionBeneficialOwnersCreate, ActionBeneficialOwnersRead,
			ActionBeneficialOwnersUpdate, ActionBeneficialOwnersDelete,
			ActionBeneficialOwnershipRead, ActionBeneficialOwnershipCertify,
			ActionBeneficialOwnerDocumentsCreate, ActionCustomerRead, ActionCustomerUpdate,
		}
	case ComponentDocumentUpload:
		return []Action{
			ActionCustomerRead, ActionCustomerDocumentsCreate, ActionCustomerDocumentsRead,
			ActionBeneficialOwnersRead, ActionBeneficialOwnerDocumentsCreate,
		}
	case ComponentFundingSourceCreate:
		return []Action{ActionCustomerFundingSourcesCreate, ActionCustomerMicroDepositsCreate}
	case ComponentMicroDepositsVerify:
		return []Action{ActionCustomerFundingSourcesRead, ActionCustomerMicroDepositsVerify}
	case ComponentBalanceDisplay:
		return []Action{ActionCustomerFundingSourcesRead}
	case ComponentPayIn:
		return []Action{ActionCustomerFundingSourcesRead, ActionCustomerTransfersSend}
	case ComponentAccountOpening:
		return nil
	}
	return nil
}
