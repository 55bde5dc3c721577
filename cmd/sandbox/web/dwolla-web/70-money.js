// Banks, micro-deposits and balances.

class FundingSourceCreate extends DropIn {
  async run(flow) {
    const location = await flow.fill(bankPage(), async (values) => {
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
    await this.#startMicroDeposits(flow, location);
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
    intro: "Your bank's name appears on no statement. The name below is yours to choose.",
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
        selectField("bankAccountType", "Account type", [["checking", "Checking"], ["savings", "Savings"]], {}),
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
      this.fillContent(flow);
      return;
    }
    const amount = h("p", { id: "dwolla-balance", class: "dwolla-balance" }, money(value, currency));
    this.fillContent(flow, h("h2", { class: "dwolla-balance-heading" }, "Balance"), amount);
  }
}

// money shows an amount as Dwolla wrote it if it is not a number.
function money(value, currency = "USD") {
  const number = Number(value);
  if (!Number.isFinite(number)) return String(value);
  return new Intl.NumberFormat("en-US", { style: "currency", currency }).format(number);
}
