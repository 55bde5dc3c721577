// The beneficial owners of a business, and the certification that they are complete.

class BeneficialOwners extends DropIn {
  async run(flow) {
    const ownership = await flow.read({
      action: "beneficialownership.read",
      resource: "beneficial-ownership",
      path: ownershipPath(flow),
    });
    const customer = await flow.readCustomer();
    const owners = await readOwners(flow);
    if (ownership.status === "certified") {
      this.finish(flow, "info", "The owners of this business are certified already.");
      return;
    }
    if (customer.type !== "business" || customer.businessType === "soleProprietorship") {
      this.finish(flow, "info", "This account needs no beneficial owners.");
      return;
    }
    if (owners.length === 0 && !(await hasOwners(flow))) await this.#certifyNone(flow);
    else await this.#certifyOwners(flow, owners);
    this.finish(flow, "success", "Thank you. The owners of this business are certified.");
  }

  #certifyNone(flow) {
    const page = new Page({
      heading: "Certify that there are no owners",
      fields: [
        checkField("certifyControllersNoOwners", "No person owns 25% or more of the company.", { id: "hasOwners" }),
        checkField("certifyCorrectNoOwners", "To the best of my knowledge, all that I have entered is correct.", {
          id: "noOwners",
        }),
      ],
      submit: { id: "noOwners-certify-submit", value: "Certify" },
    });
    return flow.fill(page, () => certify(flow));
  }

  // #certifyOwners shows the list, and leads to a form for one owner and back, until the
  // user certifies.
  async #certifyOwners(flow, present) {
    let owners = present;
    for (let page = ownersPage(owners); ;) {
      const { choice, id } = await flow.ask(page);
      if (choice === "submit") {
        if ((await flow.attempt(() => certify(flow))) !== undefined) return;
        continue;
      }
      const owner = owners.find((one) => one.id === id);
      const text = await ownerForm(flow, choice, owner);
      const reread = await flow.attempt(() => readOwners(flow));
      owners = reread ?? owners;
      if (text && reread) this.message("success", text);
      page = ownersPage(owners);
    }
  }
}

const ownershipPath = (flow) => `${customerPath(flow.customerId)}/beneficial-ownership`;

const certify = (flow) =>
  flow.call({
    action: "beneficialownership.certify",
    resource: "beneficial-ownership",
    method: "POST",
    path: ownershipPath(flow),
    json: { status: "certified" },
  });

async function readOwners(flow) {
  const body = await flow.read({
    action: "beneficialowners.read",
    resource: "beneficial-owners",
    path: `${customerPath(flow.customerId)}/beneficial-owners`,
  });
  return body._embedded?.["beneficial-owners"] ?? [];
}

async function hasOwners(flow) {
  const page = new Page({
    heading: "Who owns the business?",
    intro: "Federal law asks for every person who owns 25% or more of the company.",
    fields: [
      h(
        "fieldset",
        { class: "dwolla-choices" },
        h("legend", {}, "Does anyone own 25% or more?"),
        radioField("ownersRadio", "hasOwners", "Yes, at least one person does"),
        radioField("ownersRadio", "noOwners", "No, nobody does"),
      ),
    ],
    submit: { id: "determine-owners-submit", value: "Continue" },
  });
  const { values } = await flow.ask(page);
  return values.ownersRadio === "hasOwners";
}

const statusTexts = { verified: "Verified", document: "Needs a document", incomplete: "Needs corrections" };

function ownersPage(owners) {
  const open = owners.filter(({ verificationStatus }) => verificationStatus !== "verified");
  const ready = owners.length > 0 && open.length === 0;
  return new Page({
    heading: "Owners of the business",
    intro: owners.length > 0 && !ready ? "You can certify the owners when every one of them is verified." : null,
    fields: [
      owners.length === 0
        ? h("p", { class: "dwolla-empty" }, "No owners have been added.")
        : h("ul", { class: "dwolla-owners" }, owners.map(ownerItem)),
      h("div", { class: "dwolla-buttons" }, button("Add Owner", { id: "add-owner-document", "data-choice": "add" })),
      ready
        ? checkField(
            "certifyCorrectHasOwners",
            "These are all the owners, and to the best of my knowledge all that I have entered is correct.",
            { id: "hasOwners" },
          )
        : null,
    ],
    submit: ready ? { id: "hasOwners-certify-submit", value: "Certify" } : undefined,
  });
}

function ownerItem({ id, firstName, lastName, verificationStatus }) {
  const name = `${firstName} ${lastName}`;
  const act = (choice, value) =>
    button(value, {
      "data-choice": choice,
      "data-id": id,
      "aria-label": `${value} ${name}`,
      class: "dwolla-button dwolla-small",
    });
  const badge = h(
    "span",
    { class: `dwolla-badge dwolla-${verificationStatus}` },
    statusTexts[verificationStatus] ?? verificationStatus,
  );
  return h(
    "li",
    {},
    h("div", { class: "dwolla-owner" }, h("strong", {}, name), badge),
    h(
      "div",
      { class: "dwolla-actions" },
      verificationStatus === "incomplete" ? act("edit", "Edit") : null,
      verificationStatus === "document" ? act("document", "Upload") : null,
      act("delete", "Delete"),
    ),
  );
}

const cancel = () => button("Cancel", { "data-choice": "cancel" });

// ownerForm does what the user chose in the list. It returns what has been done, or "".
async function ownerForm(flow, choice, owner) {
  const { page, send, done } = ownerForms[choice](flow, owner);
  for (;;) {
    const answer = await flow.ask(page);
    if (answer.choice === "cancel") return "";
    if ((await flow.attempt(() => send(answer.values))) !== undefined) return done;
  }
}

const ownerForms = {
  add: (flow) => ({
    page: editPage("Add an owner", "add-owner-submit", "Add Owner", {}),
    done: "The owner has been added.",
    send: (values) =>
      flow.call({
        action: "beneficialowners.create",
        resource: "beneficial-owners",
        method: "POST",
        path: `${customerPath(flow.customerId)}/beneficial-owners`,
        json: ownerOf(values),
      }),
  }),
  edit: (flow, owner) => ({
    page: editPage("Correct an owner", "update-owner-submit", "Save", owner),
    done: "The owner has been changed.",
    send: (values) =>
      flow.call({
        action: "beneficialowners.update",
        resource: "beneficial-owners",
        links: ownerLinks(owner.id),
        method: "POST",
        path: ownerPath(owner.id),
        json: ownerOf(values),
      }),
  }),
  document: (flow, owner) => ({
    page: documentPage(ownerTarget(owner), [cancel()]),
    done: "The document has been received. Its review takes one or two business days.",
    send: (values) => sendDocument(flow, ownerTarget(owner), values),
  }),
  delete: (flow, owner) => ({
    page: new Page({
      heading: "Delete an owner",
      fields: [
        checkField("deleteOwners", `Delete ${owner.firstName} ${owner.lastName} from the owners of the business.`),
      ],
      submit: { id: "delete-owner-submit", value: "Confirm" },
      buttons: [cancel()],
    }),
    done: "The owner has been deleted.",
    send: () =>
      flow.call({
        action: "beneficialowners.delete",
        resource: "beneficial-owners",
        links: ownerLinks(owner.id),
        method: "DELETE",
        path: ownerPath(owner.id),
      }),
  }),
};

const editPage = (heading, id, value, owner) =>
  new Page({
    heading,
    fields: [
      group(
        "Name",
        row(
          textField("firstNameInputBO", "First name", { autocomplete: "off", maxlength: 50 }),
          textField("lastNameInputBO", "Last name", { autocomplete: "off", maxlength: 50 }),
        ),
      ),
      homeFields("BO", 9),
    ],
    values: { firstNameInputBO: owner.firstName, lastNameInputBO: owner.lastName, ...homeValues(owner.address, "BO") },
    submit: { id, value },
    buttons: [cancel()],
  });

const ownerOf = (values) => ({
  firstName: values.firstNameInputBO,
  lastName: values.lastNameInputBO,
  ...homeOf(values, "BO"),
});
