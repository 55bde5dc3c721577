// The table of elements.

const elements = {
  "dwolla-customer-create": CustomerCreate,
  "dwolla-customer-update": CustomerUpdate,
  "dwolla-personal-vcr": PersonalVCR,
  "dwolla-business-vcr": BusinessVCR,
  "dwolla-beneficial-owners": BeneficialOwners,
  "dwolla-document-upload": DocumentUpload,
  "dwolla-funding-source-create": FundingSourceCreate,
  "dwolla-micro-deposits-verify": MicroDepositsVerify,
  "dwolla-balance-display": BalanceDisplay,
  "dwolla-payin": PayIn,
  "dwolla-account-opening": AccountOpening,
};

// A page may load this script twice. The first one stays.
if (!customElements.get("dwolla-customer-create")) {
  reflectOptions(DropIn.prototype);
  globalThis.dwolla = { configure };
  for (const [name, element] of Object.entries(elements)) customElements.define(name, element);
}
