// The base of all elements: attributes, pages, messages, and one flow at a time.

// Stopped ends a flow whose element was removed or now belongs to another Customer.
class Stopped extends Error {}

// Flow is one run of an element's steps for one Customer. After `stop` it changes
// nothing on the page and starts no request.
class Flow {
  constructor(element) {
    this.element = element;
    this.options = element.options();
    this.customerId = this.options.customerId;
    this.started = false; // the user has submitted a page
    this.stopped = false;
    this.onStop = new Set();
  }

  stop() {
    this.stopped = true;
    for (const end of this.onStop) end();
  }

  check() {
    if (this.stopped) throw new Stopped();
  }

  // call fetches a token and calls Dwolla. `links` are the token's, by default those of
  // the Customer; null means none. The page learns of a write's result even if the
  // element is gone by then.
  async call({ action, resource = "customers", links = this.links(), ...request }) {
    const token = await fetchToken(action, links);
    this.check();
    const write = (request.method ?? "GET") !== "GET";
    const answer = await callDwolla(request, token).catch((fault) => {
      fault.resource = resource;
      if (this.stopped && write) tellFault(fault);
      throw fault;
    });
    if (write) tellSuccess(resource, { location: answer.location ?? standIn.root + request.path });
    this.check();
    return answer;
  }

  links() {
    return this.customerId ? customerLinks(this.customerId) : null;
  }

  // read gets a resource.
  async read(request) {
    const { body } = await this.call(request);
    if (body === null || typeof body !== "object") throw new Fault(texts.network);
    return body;
  }

  readCustomer() {
    return this.read({ action: "customer.read", path: customerPath(this.customerId) });
  }

  // ask shows a page and waits for a button. It returns {choice, values}.
  ask(page) {
    this.check();
    this.element.show(page, { focus: this.started });
    return new Promise((resolve, reject) => {
      const end = () => reject(new Stopped());
      this.onStop.add(end);
      page.answer = (answer) => {
        page.answer = null;
        this.onStop.delete(end);
        this.started = true;
        this.element.clearMessages();
        this.element.busy();
        resolve(answer);
      };
    });
  }

  // attempt runs a step. It shows a failure, tells the page, and then returns undefined.
  async attempt(step) {
    try {
      return await step();
    } catch (fault) {
      this.check();
      if (!(fault instanceof Refusal || fault instanceof Fault)) throw fault;
      this.element.showFault(fault);
      tellFault(fault);
      return undefined;
    }
  }

  // fillAll shows pages one after another, with a way back, until `send` accepts all
  // their values. A maker builds its page from the values so far.
  async fillAll(makers, values, send) {
    for (let i = 0; ; ) {
      const page = makers[i](values);
      for (;;) {
        const answer = await this.ask(page);
        for (const name of page.names()) delete values[name];
        Object.assign(values, answer.values);
        if (answer.choice === "back") i--;
        else if (i < makers.length - 1) i++;
        else {
          const sent = await this.attempt(() => send(values));
          if (sent !== undefined) return sent;
          continue; // the same page again, with the message
        }
        break;
      }
    }
  }

  // fill shows a page until `send` accepts its values, and returns what `send` did.
  async fill(page, send) {
    for (;;) {
      const { values } = await this.ask(page);
      const answer = await this.attempt(() => send(values));
      if (answer !== undefined) return answer;
    }
  }
}

// tellFault reports a Refusal through success, as Dwolla's library does.
function tellFault(fault) {
  if (fault instanceof Refusal) tellSuccess(fault.resource, fault.problem);
  else tellError(fault.message);
}

const base = new CSSStyleSheet();
base.replaceSync(":host{display:block}:host([hidden]){display:none}.dwolla-unstyled{visibility:hidden}");

// All options of all elements, in Dwolla's spelling. Attributes ignore case.
const strings = [
  "customerId", "ownerId", "fundingSourceId", "clientAccountId", "type", "firstName", "lastName", "email", "ipAddress",
  "correlationId", "businessName", "terms", "privacy", "website", "amount",
];
const flags = ["isBusiness", "hideDBAField", "initiateMicroDeposits", "hideZeroBalance"];
const secrets = ["token", "blob"]; // kept out of the DOM when set as properties
const readLate = ["correlationid", "ipaddress", "initiatemicrodeposits"]; // when a form is sent

// DropIn is the base class. A subclass has `run(flow)`, its steps; `needs(options)`, the
// options without which it cannot work; and `identities`, those that start another flow.
class DropIn extends HTMLElement {
  static observedAttributes = [...strings, ...flags].map((name) => name.toLowerCase());
  static identities = ["customerId"];
  static needs = () => ["customerId"];

  #flow = null;
  #page = null;
  #secrets = {};
  #timer = null;
  #changed = new Set();
  #link = h("link", { rel: "stylesheet" });
  #errors = h("div", { role: "alert" });
  #notes = h("div", { role: "status" });
  #content = h("div", { class: "dwolla-content" });
  #container = h("div", { class: "dwolla-container" }, this.#notes, this.#errors, this.#content);

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [base];
    this.#container.id = this.localName;
    shadow.append(this.#container);
  }

  // options returns the element's attributes under the names that Dwolla documents.
  options() {
    const found = {};
    for (const name of strings) found[name] = this.getAttribute(name)?.trim() || undefined;
    for (const name of flags) found[name] = this.hasAttribute(name);
    return found;
  }

  secret(name) {
    return this.#secrets[name] ?? this.getAttribute(name) ?? undefined;
  }

  keepSecret(name, value) {
    this.#secrets[name] = value;
  }

  connectedCallback() {
    for (const name of [...strings, ...flags, ...secrets]) this.#adoptProperty(name);
    connected.add(this);
    this.#paintStyles();
    if (this.#flow === null) this.#restart();
  }

  // A move inside the document disconnects and connects in one go. It does not disturb
  // the flow.
  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return;
      connected.delete(this);
      this.#stop();
    });
  }

  // Frameworks set several attributes in a row, so one microtask judges them together.
  attributeChangedCallback(name, before, after) {
    if (before === after || !this.isConnected) return;
    this.#changed.add(name);
    queueMicrotask(() => this.#judgeChanges());
  }

  configured() {
    this.#paintStyles();
    if (this.#flow === null) this.#restart();
  }

  // #adoptProperty takes over a property that the page set before this script arrived.
  #adoptProperty(name) {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete this[name];
    this[name] = value;
  }

  #judgeChanges() {
    const names = this.#changed;
    this.#changed = new Set();
    if (names.size === 0 || !this.isConnected) return;
    const flow = this.#flow;
    const fresh = flow !== null && !flow.started && !this.#page?.touched;
    const painted = [...names].some((name) => !readLate.includes(name));
    if (flow === null || this.#isAnother(flow) || (fresh && painted)) this.#restart();
  }

  // #isAnother reports whether the options now name somebody or something else. A flow
  // that has created a Customer itself goes on when the page names that Customer.
  #isAnother(flow) {
    const options = this.options();
    return this.constructor.identities.some(
      (name) => options[name] !== flow.options[name] && !(name === "customerId" && options[name] === flow.customerId),
    );
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#flow?.stop();
    this.#flow = null;
    this.#page = null;
    this.#content.replaceChildren();
    this.clearMessages();
  }

  #restart() {
    this.#stop();
    const missing = this.#missing();
    if (missing === "") {
      void this.#start(new Flow(this));
      return;
    }
    this.busy();
    this.#timer = setTimeout(() => {
      this.#container.classList.remove("dwolla-loading");
      this.message("error", missing);
      tellError(missing);
    }, settings === null ? limits.patience : limits.grace);
  }

  // #missing says what the element still waits for, or "".
  #missing() {
    const options = this.options();
    const names = this.constructor.needs(options).filter((name) => !options[name]);
    const fault = settingsFault();
    if (fault !== "" || names.length === 0) return fault;
    return `The element ${this.localName} needs the attribute ${names.join(" and the attribute ")}.`;
  }

  async #start(flow) {
    this.#flow = flow;
    this.busy();
    try {
      for (;;) {
        const done = await flow.attempt(async () => {
          await this.run(flow);
          return true;
        });
        if (done) return;
        await flow.ask(tryAgain());
      }
    } catch (fault) {
      if (!(fault instanceof Stopped)) globalThis.reportError(fault);
    }
  }

  // show makes page the visible one, ready for input.
  show(page, { focus }) {
    this.#container.classList.remove("dwolla-loading");
    this.#content.removeAttribute("aria-busy");
    if (this.#page === page) {
      page.enable(true);
      if (focus) this.#focusFault();
      return;
    }
    this.#page = page;
    this.#content.replaceChildren(page.node);
    page.enable(true);
    if (focus) page.heading.focus();
  }

  // busy marks a request under way. The page's buttons do not work until the next show.
  busy() {
    this.#container.classList.add("dwolla-loading");
    this.#content.setAttribute("aria-busy", "true");
    this.#page?.enable(false);
  }

  // #focusFault leads the user to the refused field, or else to the message.
  #focusFault() {
    const target = this.#content.querySelector("[aria-invalid]") ?? this.shadowRoot.getElementById("dwolla-error");
    target?.focus();
  }

  clearMessages() {
    this.#errors.replaceChildren();
    this.#notes.replaceChildren();
    this.#page?.markValid();
  }

  // message shows a text. The kind is success, error or info.
  message(kind, text) {
    const id = `dwolla-${kind}`;
    const live = kind === "error" ? this.#errors : this.#notes;
    const old = this.shadowRoot.getElementById(id);
    const box = h("div", { id, class: id, tabindex: -1 }, h("p", { id: `${id}-message`, class: `${id}-message` }, text));
    if (old) old.replaceWith(box);
    else live.append(box);
    return box;
  }

  showFault(fault) {
    this.message("error", fault.message);
    if (fault instanceof Refusal) this.#page?.markInvalid(fault.paths[0] ?? "");
  }

  // finish ends a flow with a text in place of the form.
  finish(flow, kind, text) {
    flow.check();
    this.#container.classList.remove("dwolla-loading");
    this.#content.removeAttribute("aria-busy");
    this.#content.replaceChildren();
    this.#page = null;
    const box = this.message(kind, text);
    if (flow.started) box.focus();
  }

  // fillContent shows nodes that are not a form.
  fillContent(flow, ...nodes) {
    flow.check();
    this.#container.classList.remove("dwolla-loading");
    this.#content.removeAttribute("aria-busy");
    this.#page = null;
    this.#content.replaceChildren(...nodes);
  }

  #paintStyles() {
    const styles = typeof settings?.styles === "string" ? settings.styles : "";
    if (styles === "") this.#link.remove();
    else if (this.#link.getAttribute("href") !== styles || !this.#link.isConnected) {
      this.#link.setAttribute("href", styles);
      this.#hideUnstyled();
      this.shadowRoot.prepend(this.#link);
    }
  }

  // #hideUnstyled keeps bare controls from flashing up before their style sheet arrives.
  #hideUnstyled() {
    const show = () => this.#container.classList.remove("dwolla-unstyled");
    this.#container.classList.add("dwolla-unstyled");
    this.#link.onload = show;
    this.#link.onerror = show;
    setTimeout(show, limits.grace);
  }
}

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

// reflectOptions gives the elements a property for each option. Strings and flags are
// attributes at the same time.
function reflectOptions(prototype) {
  const define = (name, get, set) => Object.defineProperty(prototype, name, { configurable: true, enumerable: true, get, set });
  for (const name of strings) {
    define(
      name,
      function () {
        return this.getAttribute(name) ?? undefined;
      },
      function (value) {
        if (value === undefined || value === null) this.removeAttribute(name);
        else this.setAttribute(name, String(value));
      },
    );
  }
  for (const name of flags) {
    define(
      name,
      function () {
        return this.hasAttribute(name);
      },
      function (value) {
        this.toggleAttribute(name, Boolean(value));
      },
    );
  }
  for (const name of secrets) {
    define(
      name,
      function () {
        return this.secret(name);
      },
      function (value) {
        this.keepSecret(name, value);
      },
    );
  }
}
