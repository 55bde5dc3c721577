// Verified Customers, personal and business: create, correct, prove with a document.

// VerifiedCustomer follows a Customer's status. A subclass has `fill(flow, customer,
// digits, send)`, its forms; customer is {} if there is none yet.
class VerifiedCustomer extends DropIn {
  static needs = () => [];

  async run(flow) {
    let customer = flow.customerId ? await flow.readCustomer() : await this.#create(flow);
    while (["unverified", "retry"].includes(customer.status)) customer = await this.#correct(flow, customer);
    if (needsDocument(customer)) {
      await uploadDocument(flow, documentTarget(flow, customer));
      this.finish(flow, "success", "Your document has been received. Its review takes one or two business days.");
    } else {
      this.finish(flow, ...outcome(customer, flow));
    }
  }

  async #create(flow) {
    await this.fill(flow, {}, 4, (json) => createCustomer(flow, json));
    return flow.readCustomer();
  }

  // #correct upgrades an unverified Customer, or sends better details in a retry. A retry
  // needs the whole Social Security number.
  async #correct(flow, customer) {
    const digits = customer.status === "retry" ? 9 : 4;
    if (digits === 9) this.message("info", "Your details could not be verified. Please check all of them once more.");
    const updated = await this.fill(flow, customer, digits, (json) => updateCustomer(flow, json));
    return updated.status ? updated : flow.readCustomer();
  }
}

function outcome({ status }, flow) {
  if (status === "verified")
    return flow.started ? ["success", "You are verified."] : ["info", "This account is verified already."];
  if (status === "kba") return ["info", "Dwolla asks further questions, which are not part of this stand-in."];
  return ["info", `This account is ${status}.`];
}

class PersonalVCR extends VerifiedCustomer {
  fill(flow, customer, digits, send) {
    const page = new Page({
      heading: digits === 9 ? "Check your details" : "Verify your identity",
      intro: "Federal law requires these details before you can send money.",
      fields: personFields(flow.options, digits),
      values: { ...present(personValues(flow.options)), ...present(personValues(customer)) },
      submit: { id: "dwolla-personal-vcr-submit", value: "Agree and Continue" },
    });
    return flow.fill(page, (values) => send(verifiedPerson(values)));
  }
}

const businessTypes = [
  ["soleProprietorship", "Sole proprietorship"],
  ["llc", "LLC"],
  ["corporation", "Corporation"],
  ["partnership", "Partnership"],
];

class BusinessVCR extends VerifiedCustomer {
  async fill(flow, customer, digits, send) {
    const classes = await readClassifications(flow);
    const values = { ...present(businessValues(flow.options, classes)), ...present(businessValues(customer, classes)) };
    const pages = [
      initialPage,
      (so) => businessPage(so, classes, flow.options),
      (so) => controllerPage(so, digits, flow.options),
    ];
    return flow.fillAll(pages, values, (all) => send(verifiedBusiness(all)));
  }
}

// readClassifications returns the industries that Dwolla knows, as {id, name, industries}.
async function readClassifications(flow) {
  const body = await flow.read({
    action: "businessclassifications.read",
    resource: "business-classifications",
    path: "/business-classifications",
  });
  return (body._embedded?.["business-classifications"] ?? []).map(({ id, name, _embedded }) => ({
    id,
    name,
    industries: (_embedded?.["industry-classifications"] ?? []).map((one) => [one.id, one.name]),
  }));
}

const step = (n, text) => [h("span", { class: "dwolla-step" }, `Step ${n} of 3`), " ", text];

const back = () => button("Back", { "data-choice": "back" });

const initialPage = (values) =>
  new Page({
    heading: step(1, "You and your business"),
    intro: "Federal law requires these details before a business can send money.",
    fields: [
      nameFields(),
      emailField(),
      textField("legalBusinessName", "Legal business name", { autocomplete: "organization" }),
      selectField("businessType", "Business type", businessTypes, { empty: "Select a type" }),
    ],
    values,
    submit: { id: "dwolla-initial-info-submit", value: "Continue" },
  });

const isSole = (values) => values.businessType === "soleProprietorship";

function businessPage(values, classes, options) {
  const dba = textField("doingBusinessAs", "Doing business as", { optional: true, autocomplete: "off" });
  const sole = isSole(values);
  return new Page({
    heading: step(2, "The business"),
    fields: [
      options.hideDBAField ? null : dba,
      addressFields(),
      classificationFields(classes),
      textField("ein", "Employer Identification Number (EIN)", {
        optional: sole,
        autocomplete: "off",
        inputmode: "numeric",
        pattern: "\\d{2}-?\\d{7}",
        title: "Nine digits, such as 00-0000000",
        maxlength: 10,
      }),
      sole
        ? null
        : checkField("companyController", "I control this company, for example as its chief executive.", {
            required: false,
          }),
    ],
    values,
    submit: { id: "dwolla-business-info-submit", value: "Continue" },
    buttons: [back()],
  });
}

// classificationFields offers the industries of the chosen classification.
function classificationFields(classes) {
  const all = classes.map(({ id, name }) => [id, name]);
  const choice = selectField("businessClassification", "Business classification", all, { autocomplete: "off" });
  const holder = h("div", { class: "dwolla-input-slot" });
  const paint = () => {
    const chosen = classes.find(({ id }) => id === choice.querySelector("select").value);
    holder.replaceChildren(selectField("industry", "Industry", chosen?.industries ?? [], { autocomplete: "off" }));
  };
  choice.addEventListener("change", paint);
  paint();
  return row(choice, holder);
}

function controllerPage(values, digits, options) {
  const sole = isSole(values);
  const named = values.companyController === "true";
  const who = row(
    textField("firstNameController", "First name", { autocomplete: "off", maxlength: 50 }),
    textField("lastNameController", "Last name", { autocomplete: "off", maxlength: 50 }),
  );
  const title = textField("titleInputController", "Job title", { autocomplete: "organization-title" });
  const own = row(birthField("dateOfBirthController", { autocomplete: "bday" }), ssnField("ssnController", digits));
  return new Page({
    heading: step(3, sole ? "Your identity" : "The controller"),
    intro: sole ? null : "The controller is one person with responsibility to manage the company.",
    fields: sole
      ? [own, agreement(options, { id: "termsCheckbox" })]
      : [named ? null : who, title, homeFields("Controller", digits), agreement(options, { id: "termsCheckbox" })],
    values,
    submit: { id: "dwolla-business-vcr-submit", value: "Agree and Continue" },
    buttons: [back()],
  });
}

function verifiedBusiness(values) {
  const { dateOfBirthController: dateOfBirth, ssnController: ssn } = values;
  return {
    ...person(values),
    ...address(values),
    type: "business",
    businessName: values.legalBusinessName,
    businessType: values.businessType,
    businessClassification: values.industry,
    doingBusinessAs: values.doingBusinessAs,
    ein: values.ein,
    ...(isSole(values) ? { dateOfBirth, ssn } : { controller: controllerOf(values) }),
  };
}

function controllerOf(values) {
  const own = values.companyController === "true";
  return {
    firstName: own ? values.firstNameInput : values.firstNameController,
    lastName: own ? values.lastNameInput : values.lastNameController,
    title: values.titleInputController,
    ...homeOf(values, "Controller"),
  };
}

// businessValues is the way back from a Customer to the fields.
function businessValues(customer, classes) {
  const industry = customer.businessClassification;
  const parent = classes.find(({ industries }) => industries.some(([id]) => id === industry));
  return {
    ...personValues(customer),
    legalBusinessName: customer.businessName,
    businessType: customer.businessType,
    doingBusinessAs: customer.doingBusinessAs,
    businessClassification: parent?.id,
    industry,
    firstNameController: customer.controller?.firstName,
    lastNameController: customer.controller?.lastName,
    titleInputController: customer.controller?.title,
    ...homeValues(customer.controller?.address, "Controller"),
  };
}
