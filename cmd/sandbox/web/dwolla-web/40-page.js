// The pages of an element: one form each.

// Page is one form, with buttons. `buttons` are further choices beside the submit.
class Page {
  constructor({ heading, intro, fields = [], values = {}, submit, buttons = [] }) {
    this.answer = null;
    this.touched = false;
    this.heading = h("h2", { class: "dwolla-heading", tabindex: -1 }, heading);
    const send = submit && h("input", { type: "submit", id: submit.id, value: submit.value, class: "dwolla-submit" });
    const bar = h("div", { class: "dwolla-buttons" }, send, buttons);
    this.node = h("form", { autocomplete: "on" }, this.heading, paragraphs(intro), fields, bar);
    this.node.addEventListener("input", () => (this.touched = true));
    this.node.addEventListener("submit", (event) => {
      event.preventDefault();
      this.answer?.({ choice: "submit", values: this.values() });
    });
    this.node.addEventListener("click", (event) => {
      const choice = event.target.dataset?.choice;
      if (choice) this.answer?.({ choice, id: event.target.dataset.id, values: this.values() });
    });
    this.#fill(values);
  }

  // #fill sets fields by name, in the order of `values`. A select may replace the fields
  // after it when it changes.
  #fill(values) {
    for (const [name, value] of Object.entries(values)) {
      const control = this.node.elements.namedItem(name);
      if (!control || value === undefined || value === null || control.type === "file") continue;
      if (control.type === "checkbox") control.checked = value === "true";
      else control.value = value;
      control.dispatchEvent(new Event("change", { bubbles: true }));
    }
  }

  names() {
    return [...this.node.elements].map((control) => control.name).filter(Boolean);
  }

  // values returns the trimmed fields by name. Files stay as they are, and empty ones are
  // left out.
  values() {
    const values = {};
    for (const [name, value] of new FormData(this.node)) {
      const clean = typeof value === "string" ? value.trim() : value;
      if (clean !== "") values[name] = clean;
    }
    return values;
  }

  enable(on) {
    for (const control of this.node.querySelectorAll("input[type=submit], input[type=button]")) {
      control.disabled = !on;
      control.classList.toggle("dwolla-loading", !on && control.type === "submit");
    }
  }

  // markInvalid marks the field that an error's path such as /controller/ssn names.
  markInvalid(path) {
    const member = path.split("/").pop();
    const names = [member, otherNames[member]].filter(Boolean);
    const control = [...this.node.elements].find((one) => one.name && names.includes(fieldName(one.name)));
    if (!control) return;
    control.setAttribute("aria-invalid", "true");
    describe(control, "dwolla-error-message");
  }

  markValid() {
    for (const control of this.node.querySelectorAll("[aria-invalid]")) {
      control.removeAttribute("aria-invalid");
      describe(control);
    }
  }
}

// describe names the texts that belong to a control: its hint, if any, and others.
function describe(control, ...ids) {
  const hint = `${control.id}-hint`;
  if (control.form?.querySelector(`[id="${hint}"]`)) ids.unshift(hint);
  if (ids.length > 0) control.setAttribute("aria-describedby", ids.join(" "));
  else control.removeAttribute("aria-describedby");
}

// fieldName removes what the names of our fields add to Dwolla's.
const fieldName = (name) => name.replace(/(Input)?(Controller|BO)?$/, "");

const otherNames = { stateProvinceRegion: "state", businessName: "legalBusinessName", number: "passportNumber" };

function paragraphs(intro) {
  return [intro ?? []].flat().map((text) => h("p", { class: "dwolla-intro" }, text));
}

function tryAgain() {
  return new Page({ heading: "This did not work", submit: { id: "dwolla-try-again", value: "Try again" } });
}
