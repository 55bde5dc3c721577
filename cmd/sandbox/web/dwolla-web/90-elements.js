// The table of elements.

const elements = {
  "dwolla-customer-create": CustomerCreate,
  "dwolla-customer-update": CustomerUpdate,
  "dwolla-funding-source-create": FundingSourceCreate,
  "dwolla-balance-display": BalanceDisplay,
};

reflectOptions(DropIn.prototype);
for (const name of Object.keys(elements)) {
  elements[name].observedAttributes = [...strings, ...flags].map((option) => option.toLowerCase());
}
globalThis.dwolla = { configure };
for (const [name, element] of Object.entries(elements)) customElements.define(name, element);
