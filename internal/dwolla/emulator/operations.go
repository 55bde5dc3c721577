package emulator

// Operation names one operation of the API.
type Operation string

// The operations, for [Emulator.Calls] and [Emulator.InjectFault].
const (
	OpToken                       Operation = "token"                         // POST /token
	OpCreateClientToken           Operation = "create_client_token"           // POST /client-tokens
	OpCreateCustomer              Operation = "create_customer"               // POST /customers
	OpReadCustomer                Operation = "read_customer"                 // GET /customers/{id}
	OpUpdateCustomer              Operation = "update_customer"               // POST /customers/{id}
	OpListBeneficialOwners        Operation = "list_beneficial_owners"        // GET /customers/{id}/beneficial-owners
	OpCreateBeneficialOwner       Operation = "create_beneficial_owner"       // POST /customers/{id}/beneficial-owners
	OpReadBeneficialOwner         Operation = "read_beneficial_owner"         // GET /beneficial-owners/{id}
	OpUpdateBeneficialOwner       Operation = "update_beneficial_owner"       // POST /beneficial-owners/{id}
	OpDeleteBeneficialOwner       Operation = "delete_beneficial_owner"       // DELETE /beneficial-owners/{id}
	OpReadBeneficialOwnership     Operation = "read_beneficial_ownership"     // GET /customers/{id}/beneficial-ownership
	OpCertifyBeneficialOwnership  Operation = "certify_beneficial_ownership"  // POST /customers/{id}/beneficial-ownership
	OpListCustomerDocuments       Operation = "list_customer_documents"       // GET /customers/{id}/documents
	OpCreateCustomerDocument      Operation = "create_customer_document"      // POST /customers/{id}/documents
	OpListOwnerDocuments          Operation = "list_owner_documents"          // GET /beneficial-owners/{id}/documents
	OpCreateOwnerDocument         Operation = "create_owner_document"         // POST /beneficial-owners/{id}/documents
	OpReadDocument                Operation = "read_document"                 // GET /documents/{id}
	OpListFundingSources          Operation = "list_funding_sources"          // GET /customers/{id}/funding-sources
	OpCreateFundingSource         Operation = "create_funding_source"         // POST /customers/{id}/funding-sources
	OpReadFundingSource           Operation = "read_funding_source"           // GET /funding-sources/{id}
	OpUpdateFundingSource         Operation = "update_funding_source"         // POST /funding-sources/{id}
	OpReadBalance                 Operation = "read_balance"                  // GET /funding-sources/{id}/balance
	OpReadMicroDeposits           Operation = "read_micro_deposits"           // GET /funding-sources/{id}/micro-deposits
	OpMicroDeposits               Operation = "micro_deposits"                // POST /funding-sources/{id}/micro-deposits
	OpListBusinessClassifications Operation = "list_business_classifications" // GET /business-classifications
	OpReadBusinessClassification  Operation = "read_business_classification"  // GET /business-classifications/{id}
)
