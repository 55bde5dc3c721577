// The steps of an element: calls, pages and failures, one after another.

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
      const known = asFault(fault);
      this.element.showFault(known);
      tellFault(known);
      return undefined;
    }
  }

  // fillAll shows pages one after another, with a way back, until `send` accepts all
  // their values. A maker builds its page from the values so far.
  async fillAll(makers, values, send) {
    for (let i = 0; ;) {
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

// asFault turns what nobody expected, such as an answer of another form, into a Fault.
function asFault(fault) {
  if (fault instanceof Refusal || fault instanceof Fault) return fault;
  globalThis.reportError(fault);
  return new Fault(texts.network);
}
