// Creating an unverified or receive-only Customer, and upgrading one.

// known returns the members that the page already gave to a creating element.
const known = ({ ipAddress, correlationId }) => ({ ipAddress, correlationId });

class CustomerCreate extends DropIn {
  static identities = ["type"];
  static needs = ({ type }) => (type === "receive-only" ? ["terms", "privacy"] : []);

  async run(flow) {
    const receiveOnly = flow.options.type === "receive-only";
    const page = new Page({
      heading: receiveOnly ? "Receive payments" : "Create your account",
      intro: "Dwolla moves the money for this application and needs to know who you are.",
      fields: [
        nameFields(),
        emailField(),
        flow.options.isBusiness
          ? textField("businessNameInput", "Business name", { autocomplete: "organization" })
          : null,
        agreement(flow.options),
      ],
      values: { ...personValues(flow.options), businessNameInput: flow.options.businessName },
      submit: { id: "dwolla-customer-create-submit", value: "Agree and Continue" },
    });
    await flow.fill(page, (values) =>
      createCustomer(flow, {
        ...person(values),
        businessName: values.businessNameInput ?? flow.options.businessName,
        type: receiveOnly ? "receive-only" : "unverified",
      }),
    );
    this.finish(flow, "success", "Your account has been created.");
  }
}

const person = (values) => ({
  firstName: values.firstNameInput,
  lastName: values.lastNameInput,
  email: values.emailInput,
});

const address = ({ address1, address2, city, state, postalCode }) => ({ address1, address2, city, state, postalCode });

// personValues is the way back from a Customer, or the page's attributes, to the fields.
const personValues = (customer) => ({
  firstNameInput: customer.firstName,
  lastNameInput: customer.lastName,
  emailInput: customer.email,
  ...address(customer),
});

// createCustomer names no link, because there is no Customer yet. It reads the options
// again: the page may have added the correlationId in the meantime.
async function createCustomer(flow, json) {
  const { location } = await flow.call({
    action: "customer.create",
    links: null,
    method: "POST",
    path: "/customers",
    json: { ...json, ...known(flow.element.options()) },
  });
  flow.customerId = idOf(location);
  return flow.customerId;
}

// updateCustomer returns the changed Customer.
async function updateCustomer(flow, json) {
  const { ipAddress } = flow.element.options();
  const { body } = await flow.call({
    action: "customer.update",
    method: "POST",
    path: customerPath(flow.customerId),
    json: { ...json, ipAddress },
  });
  return body ?? {};
}

class CustomerUpdate extends DropIn {
  async run(flow) {
    const customer = await flow.readCustomer();
    if (customer.type !== "unverified" || customer.status !== "unverified") {
      this.finish(flow, "info", upgradeText(customer));
      return;
    }
    const page = new Page({
      heading: "Verify your identity",
      intro: "Federal law requires these details before you can send money.",
      fields: personFields(flow.options, 4),
      values: { ...personValues(customer), ...present(personValues(flow.options)) },
      submit: { id: "dwolla-customer-update-submit", value: "Agree and Continue" },
    });
    const updated = await flow.fill(page, (values) => updateCustomer(flow, verifiedPerson(values)));
    this.finish(flow, "success", updatedText(updated.status));
  }
}

// present drops what is not there.
function present(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function upgradeText({ type, status }) {
  if (status === "suspended" || status === "deactivated") return `This account is ${status}.`;
  return type === "receive-only" ? "This account can only receive payments." : "This account does not need an upgrade.";
}

function updatedText(status) {
  if (status === "document") return "Your details have been saved. A document is needed next.";
  if (status === "retry") return "Your details have been saved, but could not be verified yet.";
  return "Your account has been upgraded.";
}

const personFields = (options, digits) => [
  group("About you", nameFields(), emailField()),
  group("Home address", addressFields()),
  group("Identity", row(birthField("dateOfBirth", { autocomplete: "bday" }), ssnField("ssn", digits))),
  agreement(options),
];

const verifiedPerson = (values) => ({
  ...person(values),
  ...address(values),
  type: "personal",
  dateOfBirth: values.dateOfBirth,
  ssn: values.ssn,
});
