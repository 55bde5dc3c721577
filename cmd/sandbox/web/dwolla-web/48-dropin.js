// The base of all elements: options, messages, and one flow at a time.

const base = new CSSStyleSheet();
base.replaceSync(":host{display:block}:host([hidden]){display:none}.dwolla-unstyled{visibility:hidden}");

// All options of all elements, in Dwolla's spelling. Attributes ignore case.
const strings = [
  "customerId",
  "ownerId",
  "fundingSourceId",
  "clientAccountId",
  "type",
  "firstName",
  "lastName",
  "email",
  "ipAddress",
  "correlationId",
  "businessName",
  "terms",
  "privacy",
  "website",
  "amount",
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
  #changed = new Set(); // attributes, since the flow began
  #judging = false;
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
    this.#judgeSoon();
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

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    this.#changed.add(name);
    this.#judgeSoon();
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

  // #judgeSoon judges together what a page or a framework does in a row.
  #judgeSoon() {
    if (this.#judging) return;
    this.#judging = true;
    queueMicrotask(() => {
      this.#judging = false;
      if (this.isConnected && this.#outdated()) this.#restart();
    });
  }

  // #outdated reports whether the present flow no longer fits the options.
  #outdated() {
    const flow = this.#flow;
    if (flow === null || this.#isAnother(flow)) return true;
    const fresh = !flow.started && !this.#page?.touched;
    return fresh && [...this.#changed].some((name) => !readLate.includes(name));
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
    this.#changed.clear();
    const missing = this.#missing();
    if (missing === "") {
      void this.#start(new Flow(this));
      return;
    }
    this.busy();
    this.#timer = setTimeout(
      () => {
        this.#idle();
        this.message("error", missing);
        tellError(missing);
      },
      settings === null ? limits.patience : limits.grace,
    );
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
    this.#idle();
    page.enable(true);
    if (this.#page === page) {
      if (focus) this.#focusFault();
      return;
    }
    this.#page = page;
    this.#content.replaceChildren(page.node);
    if (focus) page.heading.focus();
  }

  // busy marks a request under way. The page's buttons do not work until the next show.
  busy() {
    this.#container.classList.add("dwolla-loading");
    this.#content.setAttribute("aria-busy", "true");
    this.#page?.enable(false);
  }

  #idle() {
    this.#container.classList.remove("dwolla-loading");
    this.#content.removeAttribute("aria-busy");
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
    const box = h(
      "div",
      { id, class: id, tabindex: -1 },
      h("p", { id: `${id}-message`, class: `${id}-message` }, text),
    );
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
    this.showNodes(flow);
    const box = this.message(kind, text);
    if (flow.started) box.focus();
  }

  // showNodes shows what is not a form.
  showNodes(flow, ...nodes) {
    flow.check();
    this.#idle();
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

// reflectOptions gives the elements a property for each option. Strings and flags are
// attributes at the same time.
function reflectOptions(prototype) {
  const define = (name, get, set) =>
    Object.defineProperty(prototype, name, { configurable: true, enumerable: true, get, set });
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
