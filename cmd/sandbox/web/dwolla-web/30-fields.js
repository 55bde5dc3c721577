// Form fields. Everything is built from nodes and text, never from HTML.

// h makes an element. An attribute that is true is present without a value; one that is
// false, null or undefined is absent.
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

// field puts a label, and a hint if there is one, around a control.
function field(control, label, { hint, optional } = {}) {
  const id = control.id;
  const caption = h("label", { for: id }, label);
  if (optional) caption.append(" ", h("span", { class: "dwolla-optional" }, "(optional)"));
  else control.required = true;
  const note = hint ? h("p", { id: `${id}-hint`, class: "dwolla-hint" }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: `dwolla-input-container dwolla-field-${id}` }, caption, control, note);
}

// textField is an input with a label. Attributes of the input follow hint and optional.
function textField(name, label, { hint, optional, ...attributes } = {}) {
  const control = h("input", { id: name, name, type: "text", class: "dwolla-input", maxlength: 255, ...attributes });
  return field(control, label, { hint, optional });
}

// selectField is a select with a label. Options are [value, text].
function selectField(name, label, options, { hint, optional, empty = "Select", ...attributes } = {}) {
  const control = h("select", { id: name, name, class: "dwolla-input", ...attributes });
  control.append(h("option", { value: "" }, empty));
  for (const [value, text] of options) control.append(h("option", { value }, text));
  return field(control, label, { hint, optional });
}

function checkField(name, label, { id = name, required = true, ...attributes } = {}) {
  const control = h("input", { id, name, type: "checkbox", value: "true", required, ...attributes });
  return h("div", { class: "dwolla-check" }, control, h("label", { for: id }, label));
}

function radioField(name, id, label) {
  const control = h("input", { id, name, type: "radio", value: id, required: true });
  return h("div", { class: "dwolla-check" }, control, h("label", { for: id }, label));
}

function group(legend, ...fields) {
  return h("fieldset", {}, h("legend", {}, legend), fields);
}

function row(...fields) {
  return h("div", { class: "dwolla-row" }, fields);
}

// button is an input, because integrators' tests look for one.
function button(value, attributes = {}) {
  return h("input", { type: "button", value, class: "dwolla-button", ...attributes });
}

const stateNames =
  "AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|" +
  "DC District of Columbia|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|" +
  "KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|" +
  "MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|" +
  "NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|PR Puerto Rico|" +
  "RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|" +
  "WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming";

const states = stateNames.split("|").map((line) => [line.slice(0, 2), line.slice(3)]);

const countryCodes =
  "AD AE AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BZ CA CD CF CG CH CI CL CM CN CO CR " +
  "CV CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FM FR GA GB GD GE GH GM GN GQ GR GT GW GY HN HR HT HU ID IE " +
  "IL IN IS IT JM JO JP KE KG KH KI KM KN KR KW KZ LA LB LC LI LK LR LS LT LU LV MA MC MD ME MG MH MK ML MN MR MT " +
  "MU MV MW MX MY MZ NA NE NG NI NL NO NP NR NZ OM PA PE PG PH PK PL PT PW PY QA RO RS RW SA SB SC SE SG SI SK SL " +
  "SM SN SR ST SV SZ TD TG TH TJ TL TM TN TO TR TT TV TW TZ UA UG UY UZ VC VN VU WS ZA ZM ZW";

function countries() {
  const names = new Intl.DisplayNames(["en"], { type: "region" });
  const others = countryCodes.split(" ").map((code) => [code, names.of(code)]);
  return [["US", "United States"], ...others.sort((a, b) => a[1].localeCompare(b[1]))];
}

const nameFields = () =>
  row(
    textField("firstNameInput", "First name", { autocomplete: "given-name", maxlength: 50 }),
    textField("lastNameInput", "Last name", { autocomplete: "family-name", maxlength: 50 }),
  );

const emailField = () => textField("emailInput", "Email", { type: "email", autocomplete: "email" });

// addressFields are those of a person or a business in the United States.
const addressFields = () => [
  textField("address1", "Address", { autocomplete: "address-line1", maxlength: 50 }),
  textField("address2", "Apartment, suite or floor", { optional: true, autocomplete: "address-line2", maxlength: 50 }),
  row(
    textField("city", "City", { autocomplete: "address-level2" }),
    stateField("state", { autocomplete: "address-level1" }),
    zipField("postalCode", { autocomplete: "postal-code" }),
  ),
];

const stateField = (name, attributes) => selectField(name, "State", states, attributes);

const zipField = (name, attributes) =>
  textField(name, "ZIP code", {
    inputmode: "numeric",
    pattern: "\\d{5}(-\\d{4})?",
    title: "Five digits, such as 50309",
    maxlength: 10,
    ...attributes,
  });

// homeFields are the address and the identity of a person in any country: an owner or a
// controller of a business. The suffix ends the fields' names, as Dwolla's do.
function homeFields(suffix, digits) {
  const off = { autocomplete: "off" };
  const country = selectField(`country${suffix}`, "Country", countries(), { ...off, empty: "Select a country" });
  const local = h("div", {});
  const proof = h("div", {});
  const paint = () => {
    const code = country.querySelector("select").value;
    local.replaceChildren(regionFields(suffix, code));
    proof.replaceChildren(proofFields(suffix, code, digits));
  };
  country.addEventListener("change", paint);
  paint();
  return [
    group(
      "Home address",
      textField(`address1${suffix}`, "Address", off),
      row(
        textField(`address2${suffix}`, "Apt. or suite", { optional: true, ...off }),
        textField(`address3${suffix}`, "Address line 3", { optional: true, ...off }),
      ),
      row(textField(`city${suffix}`, "City", off), country),
      local,
    ),
    group("Identity", birthField(`dateOfBirth${suffix}`, off), proof),
  ];
}

// atHome reports whether people of a country have a Social Security number. No choice yet
// counts as the United States.
const atHome = (country) => country === "" || country === undefined || country === "US";

function regionFields(suffix, country) {
  const off = { autocomplete: "off" };
  if (atHome(country)) return row(stateField(`state${suffix}`, off), zipField(`postalCode${suffix}`, off));
  return row(
    textField(`state${suffix}`, "State, province or region", off),
    textField(`postalCode${suffix}`, "Postal code", { optional: true, ...off }),
  );
}

function proofFields(suffix, country, digits) {
  if (atHome(country)) return ssnField(`ssn${suffix}`, digits);
  return row(
    textField(`passportNumber${suffix}`, "Passport number", { autocomplete: "off" }),
    selectField(`passportCountry${suffix}`, "Passport of", countries(), {
      autocomplete: "off",
      empty: "Select a country",
    }),
  );
}

// homeOf turns the values of homeFields into Dwolla's members.
function homeOf(values, suffix) {
  const value = (name) => values[name + suffix];
  const passport = { number: value("passportNumber"), country: value("passportCountry") };
  return {
    dateOfBirth: value("dateOfBirth"),
    ...(atHome(value("country")) ? { ssn: value("ssn") } : { passport }),
    address: {
      address1: value("address1"),
      address2: value("address2"),
      address3: value("address3"),
      city: value("city"),
      country: value("country"),
      stateProvinceRegion: value("state"),
      postalCode: value("postalCode"),
    },
  };
}

// homeValues is the way back, for a form that is filled again.
function homeValues(address = {}, suffix) {
  const { stateProvinceRegion, ...others } = address;
  const members = { country: undefined, ...others, state: stateProvinceRegion };
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [name + suffix, value]));
}

// birthField accepts adults, as Dwolla does.
function birthField(name, attributes = {}) {
  const latest = new Date();
  latest.setFullYear(latest.getFullYear() - 18);
  const max = latest.toISOString().slice(0, 10);
  return textField(name, "Date of birth", { type: "date", min: "1900-01-01", max, maxlength: null, ...attributes });
}

// ssnField asks for the last four digits at first, and for all nine in a retry.
function ssnField(name, digits) {
  const nine = digits === 9;
  return textField(name, nine ? "Social Security number" : "SSN, last four digits", {
    autocomplete: "off",
    inputmode: "numeric",
    pattern: nine ? "\\d{3}-?\\d{2}-?\\d{4}" : "\\d{4}",
    title: nine ? "Nine digits" : "Four digits",
    maxlength: nine ? 11 : 4,
    hint: nine ? "All nine digits are needed." : null,
  });
}

// agreement is the checkbox for the terms. The page's own terms are linked if it names them.
function agreement(options, { id = "checkbox" } = {}) {
  const terms = webLink(options.terms, "terms of service");
  const privacy = webLink(options.privacy, "privacy policy");
  const label = ["I agree to the ", terms, " and the ", privacy, " of this application and of Dwolla."];
  return checkField("agreed", label, { id });
}

// webLink links text to a web address, and leaves it plain for any other address.
function webLink(address, text) {
  const url = address ? URL.parse(address, document.baseURI) : null;
  if (!url || !["https:", "http:"].includes(url.protocol)) return text;
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" }, text);
}
