// Fills the forms of drop-in components as a person would: by their fields.

// Values for fields by the name of Dwolla's member. A name such as firstNameInput or
// lastNameBO ends in what the components add.
const usual = {
  firstName: "Nina",
  lastName: "Newman",
  businessName: "Newman Bakery",
  legalBusinessName: "Newman Bakery",
  title: "Owner",
  doingBusinessAs: "Newman",
  ein: "12-3456789",
  phone: "5555550100",
  address1: "1 Main Street",
  address2: "",
  city: "Des Moines",
  state: "IA",
  stateProvinceRegion: "IA",
  postalCode: "50309",
  country: "US",
  dateOfBirth: "1990-01-02",
  ssn: "1234",
  routingNumber: "222222226",
  accountNumber: "12345678",
  bankAccountType: "checking",
  name: "My bank",
  amount1: "0.03",
  amount2: "0.09",
};

// document is a tiny picture, for uploads.
export const picture = {
  name: "passport.png",
  mimeType: "image/png",
  buffer: Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "base64",
  ),
};

let mails = 0;

// fill answers every field of the element's present form. values are by a field's id
// and win over the usual ones; a file is Playwright's {name, mimeType, buffer}.
export async function fill(element, values = {}) {
  const form = element.locator("form");
  await form.waitFor();
  for (const control of await form.locator("input, select").all()) {
    const { id, type, required, empty, first, maxLength } = await control.evaluate((node) => ({
      id: node.id,
      maxLength: node.maxLength,
      type: node.type,
      required: node.required,
      empty: node.value === "",
      first: [...(node.options ?? [])].find((option) => option.value)?.value,
    }));
    const value = values[id] ?? (empty ? usualFor(id, maxLength) : undefined);
    if (type === "checkbox" && required) await control.check();
    else if (type === "radio" && values[id]) await control.check();
    else if (type === "file") await control.setInputFiles(value ?? picture);
    else if (type === "select-one" && (value ?? (required && empty))) await control.selectOption(value ?? first);
    else if (["text", "email", "tel", "date", "password", "number", "url"].includes(type) && value) await control.fill(value);
  }
}

function usualFor(id, maxLength) {
  const member = id.replace(/(Input)?(Controller|BO)?$/, "");
  if (member === "ssn" && maxLength > 4) return "123-45-6789";
  return member === "email" ? `nina${++mails}@example.com` : usual[member];
}

// send fills the element's present form and submits it.
export async function send(element, values) {
  await fill(element, values);
  await element.locator("form input[type=submit]").click();
}
