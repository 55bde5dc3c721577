// Identity documents of a Customer or of a beneficial owner.

const largestFile = 10 * 1024 * 1024;

const documentTypes = [
  ["passport", "Passport"],
  ["license", "Driver's license"],
  ["idCard", "Identity card"],
  ["other", "Other, such as an EIN letter"],
];

// needsDocument judges by the status, and by the links with which Dwolla asks for one.
function needsDocument({ status, _links }) {
  return (
    status === "document" ||
    Object.keys(_links ?? {}).some((name) => /^verify-.*with-document$|^document-form$/.test(name))
  );
}

// A target says whose document it is and which call takes it.
const documentTarget = (flow, { type, firstName, lastName, businessName }) => ({
  action: "customer.documents.create",
  path: `${customerPath(flow.customerId)}/documents`,
  name: type === "business" ? (businessName ?? "this business") : `${firstName} ${lastName}`,
  types: type === "business" ? documentTypes : documentTypes.slice(0, 3),
});

const ownerTarget = ({ id, firstName, lastName }) => ({
  action: "beneficialowner.documents.create",
  links: ownerLinks(id),
  path: `${ownerPath(id)}/documents`,
  name: `${firstName} ${lastName}`,
  types: documentTypes.slice(0, 3),
});

function documentPage(target, buttons = []) {
  const file = textField("file", "File", {
    type: "file",
    maxlength: null,
    accept: "image/jpeg,image/png,application/pdf",
    hint: "A clear, complete picture in color: JPEG, PNG or PDF, at most 10 MB.",
  });
  const control = file.querySelector("input");
  control.addEventListener("change", () => control.setCustomValidity(fileFault(control.files[0])));
  return new Page({
    heading: "Upload a document",
    intro: `Dwolla needs a document to verify ${target.name}.`,
    fields: [selectField("documentType", "Kind of document", target.types), file],
    submit: { id: "dwolla-document-upload-submit", value: "Upload" },
    buttons,
  });
}

function fileFault(file) {
  if (!file) return "";
  if (file.size === 0) return "This file is empty.";
  return file.size > largestFile ? "This file is larger than 10 MB." : "";
}

const uploadDocument = (flow, target) =>
  flow.fill(documentPage(target), (values) => sendDocument(flow, target, values));

// sendDocument leaves the Content-Type to the browser, which adds the boundary.
function sendDocument(flow, { action, links, path }, { documentType, file }) {
  const form = new FormData();
  form.append("documentType", documentType);
  form.append("file", file);
  return flow.call({ action, links, resource: "documents", method: "POST", path, form });
}

class DocumentUpload extends DropIn {
  static identities = ["customerId", "ownerId", "type"];
  static needs = ({ type }) => (type === "beneficial-owner" ? ["customerId", "ownerId"] : ["customerId"]);

  async run(flow) {
    const target = flow.options.type === "beneficial-owner" ? await this.#owner(flow) : await this.#customer(flow);
    if (!target) return;
    await uploadDocument(flow, target);
    this.finish(flow, "success", "Your document has been received. Its review takes one or two business days.");
  }

  async #customer(flow) {
    const customer = await flow.readCustomer();
    const documents = await readDocuments(flow);
    const pending = documents.filter(({ status }) => status === "pending").length;
    const wanted = customer._links?.["verify-controller-and-business-with-document"] ? 2 : 1;
    if (pending >= wanted) {
      this.finish(flow, "info", "Your document is in review, which takes one or two business days.");
      return null;
    }
    if (!needsDocument(customer)) {
      this.finish(flow, "info", "No document is needed at the moment.");
      return null;
    }
    const failed = documents.findLast(({ failureReason }) => failureReason);
    if (failed && pending === 0) this.message("info", `The last document was not accepted: ${rejection(failed)}`);
    return documentTarget(flow, customer);
  }

  async #owner(flow) {
    const owner = await flow.read({
      action: "beneficialowners.read",
      resource: "beneficial-owners",
      links: ownerLinks(flow.options.ownerId),
      path: ownerPath(flow.options.ownerId),
    });
    if (owner.verificationStatus === "document") return ownerTarget(owner);
    this.finish(flow, "info", "No document is needed at the moment.");
    return null;
  }
}

async function readDocuments(flow) {
  const body = await flow.read({
    action: "customer.documents.read",
    resource: "documents",
    path: `${customerPath(flow.customerId)}/documents`,
  });
  return body._embedded?.documents ?? [];
}

// rejection prefers Dwolla's sentence to its code such as ScanNotReadable.
function rejection({ failureReason, allFailureReasons }) {
  return allFailureReasons?.[0]?.description ?? `${failureReason}.`;
}
