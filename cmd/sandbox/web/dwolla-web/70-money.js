// Banks, micro-deposits and balances.

class FundingSourceCreate extends DropIn {
  async run(flow) {
    const id = await flow.fill(bankPage(), async (values) => {
      const { location } = await flow.call({
        action: "customer.fundingsources.create",
        resource: "funding-sources",
        method: "POST",
        path: `${customerPath(flow.customerId)}/funding-sources`,
        json: values,
      });
      return idOf(location);
    });
    if (!this.hasAttribute("initiateMicroDeposits")) {
      this.finish(flow, "success", "Your bank account has been added.");
      return;
    }
    await this.#startMicroDeposits(flow, id);
    this.finish(flow, "success", "Your bank account has been added. Two small deposits are on their way to it.");
  }

  // #startMicroDeposits offers another try after a failure, because the bank exists by now.
  async #startMicroDeposits(flow, id) {
    const send = () =>
      flow.call({
        action: "customer.microdeposits.create",
        resource: "micro-deposits",
        method: "POST",
        path: `${fundingSourcePath(id)}/micro-deposits`,
      });
    if ((await flow.attempt(send)) !== undefined) return;
    const page = new Page({
      heading: "Your bank account has been added",
      intro: "The two small deposits that verify it have not been started.",
      submit: { id: "dwolla-micro-deposits-submit", value: "Start the deposits" },
    });
    await flow.fill(page, send);
  }
}

function bankPage() {
  const routing = textField("routingNumber", "Routing number", {
    autocomplete: "off",
    inputmode: "numeric",
    pattern: "\\d{9}",
    title: "Nine digits",
    maxlength: 9,
    hint: "Nine digits, at the bottom left of a check.",
  });
  const control = routing.querySelector("input");
  control.addEventListener("input", () => {
    const wrong = control.value.length === 9 && !validRouting(control.value);
    control.setCustomValidity(wrong ? "This routing number is not valid. Please check its digits." : "");
  });
  return new Page({
    heading: "Add a bank account",
    intro: "Enter the numbers of a checking or savings account in the United States.",
    fields: [
      row(
        routing,
        textField("accountNumber", "Account number", {
          autocomplete: "off",
          inputmode: "numeric",
          pattern: "\\d{4,17}",
          title: "4 to 17 digits",
          maxlength: 17,
        }),
      ),
      row(
        selectField(
          "bankAccountType",
          "Account type",
          [
            ["checking", "Checking"],
            ["savings", "Savings"],
          ],
          {},
        ),
        textField("name", "Name of this account", { autocomplete: "off", maxlength: 50 }),
      ),
    ],
    submit: { id: "dwolla-funding-source-create-submit", value: "Add Bank Account" },
  });
}

// validRouting checks the check digit of the American Bankers Association.
function validRouting(digits) {
  const weights = [3, 7, 1, 3, 7, 1, 3, 7, 1];
  const sum = weights.reduce((total, weight, i) => total + weight * Number(digits[i]), 0);
  return sum % 10 === 0;
}

async function readFundingSources(flow, query = "") {
  const body = await flow.read({
    action: "customer.fundingsources.read",
    resource: "funding-sources",
    path: `${customerPath(flow.customerId)}/funding-sources?removed=false${query}`,
  });
  return body._embedded?.["funding-sources"] ?? [];
}

class BalanceDisplay extends DropIn {
  async run(flow) {
    const sources = await readFundingSources(flow, "&embed=balance");
    const balances = sources.map((source) => source._embedded?.balance?.balance).filter(Boolean);
    if (balances.length === 0) {
      this.finish(flow, "info", "This account has no balance.");
      return;
    }
    const { value, currency } = balances[0];
    if (this.hasAttribute("hideZeroBalance") && Number(value) === 0) {
      this.showNodes(flow);
      return;
    }
    const amount = h("p", { id: "dwolla-balance", class: "dwolla-balance" }, money(value, currency));
    this.showNodes(flow, h("h2", { class: "dwolla-balance-heading" }, "Balance"), amount);
  }
}

// money shows an amount as Dwolla wrote it if it is not a number.
function money(value, currency = "USD") {
  const number = Number(value);
  if (!Number.isFinite(number)) return String(value);
  return new Intl.NumberFormat("en-US", { style: "currency", currency }).format(number);
}

class MicroDepositsVerify extends DropIn {
  static identities = ["customerId", "fundingSourceId"];
  static needs = () => ["customerId", "fundingSourceId"];

  async run(flow) {
    const id = flow.options.fundingSourceId;
    const source = (await readFundingSources(flow)).find((one) => one.id === id);
    if (!source) throw new Fault("This account does not have the bank account that the page names.");
    if (!source._links?.["verify-micro-deposits"]) {
      this.finish(flow, "info", depositsText(source));
      return;
    }
    await flow.fill(amountsPage(source), (values) =>
      flow.call({
        action: "customer.microdeposits.verify",
        resource: "micro-deposits",
        method: "POST",
        path: `${fundingSourcePath(id)}/micro-deposits`,
        json: { amount1: cents(values.amount1), amount2: cents(values.amount2) },
      }),
    );
    this.finish(flow, "success", "Your bank account is verified.");
  }
}

function depositsText({ status, _links }) {
  if (status === "verified") return "This bank account is verified already.";
  if (_links?.["failed-verification-micro-deposits"])
    return "There were too many attempts. Please add the bank account again.";
  if (_links?.["initiate-micro-deposits"]) return "The two small deposits have not been started yet.";
  return "The two small deposits have not arrived yet. They take one or two business days.";
}

function amountsPage({ name, bankName }) {
  const amount = (id, label) =>
    textField(id, label, {
      autocomplete: "off",
      inputmode: "decimal",
      pattern: "0?\\.\\d{2}",
      title: "An amount below one dollar, such as 0.03",
      maxlength: 4,
      placeholder: "0.00",
    });
  return new Page({
    heading: "Verify your bank account",
    intro: `Dwolla has sent two small deposits to ${[name, bankName].filter(Boolean).join(", ")}. Enter their amounts in either order.`,
    fields: [row(amount("amount1", "First deposit in dollars"), amount("amount2", "Second deposit in dollars"))],
    submit: { id: "dwolla-micro-deposits-verify-submit", value: "Verify" },
  });
}

const cents = (text) => ({ value: text.replace(/^\./, "0."), currency: "USD" });

// PayIn lists the banks. How Dwolla's library sends the transfer is not public, so the
// stand-in ends there.
class PayIn extends DropIn {
  async run(flow) {
    const banks = (await readFundingSources(flow)).filter(({ type }) => type === "bank");
    const amount = flow.options.amount;
    const note = h(
      "p",
      { class: "dwolla-info" },
      "The transfer itself is not part of this stand-in. No money moves here.",
    );
    const choices = banks.map(({ id, name }) => radioField("fundingSource", id, name));
    const list = h("fieldset", { class: "dwolla-choices" }, h("legend", {}, "Your bank accounts"), choices);
    const none = h("p", { class: "dwolla-empty" }, "No bank account has been added.");
    this.showNodes(
      flow,
      h("h2", { class: "dwolla-heading" }, amount ? `Pay ${money(amount)}` : "Pay"),
      choices.length > 0 ? list : none,
      note,
    );
  }
}

// AccountOpening makes no call, because Dwolla has not published any.
class AccountOpening extends DropIn {
  static identities = ["clientAccountId"];
  static needs = () => ["clientAccountId"];

  async run(flow) {
    this.showNodes(
      flow,
      h("h2", { class: "dwolla-heading" }, "Open an account"),
      h("p", { class: "dwolla-info" }, "Account opening is not part of this stand-in. Dwolla's own library has it."),
    );
  }
}
