// The stand-in for dwolla-web.js on its own: what it asks for, shows and reports.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { anIndustry, company, dwolla, unverified, verified } from "./dwolla.js";
import { fill, picture, send } from "./forms.js";
import { browserSuite, poll } from "./harness.js";

const { test } = browserSuite();

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tokenSentence = "We have encountered an issue fetching a token.";
const refusedByDwolla = /status of 400 /;

// library shows a page with the stand-in and body. `head` comes before the library;
// `options` are JavaScript, the members of dwolla.configure's argument.
async function library({ page, show, sandbox }, body, { head = "", attributes = "", options } = {}) {
  const application = await dwolla(sandbox.emulator);
  await page.exposeFunction("vend", application.vend);
  await show(`<link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width">
<style>:root { color-scheme: light dark; background: light-dark(#f6f7fb, #0b0d13); color: CanvasText; }</style>
<main><h1>Test</h1><div id="at">${body}</div></main>
<script>globalThis.told = []; globalThis.asked = [];</script>
${head}
<script src="/dwolla-web.js" ${attributes}></script>
<script>
  dwolla.configure({
    environment: "sandbox",
    styles: "/demo/dwolla.css",
    token: (request) => (asked.push(request), vend(request)),
    success: (event) => told.push(event),
    error: (message) => told.push(message),
    ${options ?? ""}
  });
</script>`);
  return application;
}

const told = (page) => page.evaluate(() => globalThis.told);
const askedFor = (page) => page.evaluate(() => globalThis.asked.map(({ action }) => action));

// put replaces the page's element.
function put(page, name, attributes = {}) {
  return page.evaluate(
    ([tag, all]) => {
      const element = document.createElement(tag);
      for (const [key, value] of Object.entries(all)) element.setAttribute(key, value);
      document.getElementById("at").replaceChildren(element);
    },
    [name, attributes],
  );
}

const success = (page) => page.locator("#dwolla-success-message");
const error = (page) => page.locator("#dwolla-error-message");

// focused is what has the focus inside the element: an id, or the class without one.
const focused = (page) =>
  page.evaluate(() => {
    const node = document.activeElement?.shadowRoot?.activeElement;
    return node?.id || node?.className || "";
  });

// accessible fails if axe finds a fault in the page as it is.
async function accessible(page, what) {
  await page.evaluate(`if (!globalThis.axe) { ${axe} }`);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} ${target}: ${failureSummary}`),
  );
  assert.deepEqual(found, [], what);
}

// held keeps requests waiting until release is called.
async function held(page, url, method) {
  const routes = [];
  await page.route(url, async (route) => {
    if (route.request().method() === method) routes.push(route);
    else await route.continue();
  });
  return {
    arrived: () =>
      poll(
        () => routes.length > 0,
        () => `no ${method} ${url}`,
      ),
    count: () => routes.length,
    release: () => Promise.all(routes.map((route) => route.continue())),
  };
}

test("a late library finds properties and attributes", async (fixture) => {
  const { page, sandbox } = fixture;
  const application = await dwolla(sandbox.emulator);
  const id = await application.post("/customers", unverified("Early"));
  await library(fixture, "<dwolla-customer-update></dwolla-customer-update>", {
    head: `<script>Object.assign(document.querySelector("dwolla-customer-update"), { customerId: "${id}", email: "own@example.com" })</script>`,
  });
  await page.locator("#ssn").waitFor();
  assert.equal(await page.inputValue("#firstNameInput"), "Early");
  assert.equal(await page.inputValue("#emailInput"), "own@example.com");
  assert.equal(await page.getAttribute("dwolla-customer-update", "customerid"), id);
});

test("an older library sends links only", async (fixture) => {
  const { page, sandbox } = fixture;
  const customerId = await (await dwolla(sandbox.emulator)).post("/customers", unverified());
  await library(fixture, `<dwolla-customer-update CUSTOMERID="${customerId}"></dwolla-customer-update>`, {
    attributes: "data-links-only",
    options: "token: ({ action, links, ...rest }) => (asked.push(rest), vend({ action, _links: links })),",
  });
  await page.locator("#ssn").waitFor();
  assert.deepEqual(await page.evaluate(() => globalThis.asked), [{}]);
});

for (const [what, tokenUrl] of Object.entries({
  "a text": '"/tokens"',
  "a function": 'async () => "/tokens"',
  "a promise": 'Promise.resolve("/tokens")',
})) {
  test(`tokenUrl may be ${what}`, async (fixture) => {
    const { page, sandbox } = fixture;
    const application = await dwolla(sandbox.emulator);
    const customerId = await application.post("/customers", unverified());
    const requests = [];
    await page.route("**/tokens", async (route) => {
      requests.push(route.request());
      await route.fulfill({ json: await application.vend(route.request().postDataJSON()) });
    });
    await library(fixture, `<dwolla-customer-update customerId="${customerId}"></dwolla-customer-update>`, {
      options: `token: undefined, tokenUrl: ${tokenUrl},`,
    });
    await page.locator("#ssn").waitFor();
    const [request] = requests;
    assert.deepEqual(request.postDataJSON(), {
      action: "customer.read",
      _links: { customer: { href: `${sandbox.emulator}/customers/${customerId}` } },
    });
    const headers = request.headers();
    assert.equal(headers.accept, "application/json");
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["x-requested-with"], "Dwolla-Drop-Ins-Library");
  });
}

for (const [what, answer] of Object.entries({
  HTML: (route) => route.fulfill({ contentType: "text/html", body: "<h1>Sign in</h1>" }),
  nothing: (route) => route.fulfill({ status: 204 }),
  "an empty token": (route) => route.fulfill({ json: { token: "" } }),
  "no answer in time": () => {},
})) {
  test(`a token endpoint with ${what} ends in one sentence`, async (fixture) => {
    const { page } = fixture;
    let good = false;
    await page.route("**/tokens", (route) => (good ? route.fulfill({ status: 500, body: "" }) : answer(route)));
    await library(fixture, '<dwolla-balance-display customerId="x"></dwolla-balance-display>', {
      attributes: 'data-timeout="300"',
      options: 'token: undefined, tokenUrl: "/tokens",',
    });
    await error(page).getByText(tokenSentence).waitFor();
    assert.deepEqual(await told(page), [tokenSentence]);
    good = true;
    fixture.expectConsole(/status of 500 .*\/tokens$/);
    await page.locator("#dwolla-try-again").click();
    await poll(
      async () => (await told(page)).length === 2,
      () => "the second try is not told",
    );
    assert.deepEqual(await told(page), [tokenSentence, tokenSentence]);
  });
}

test("answers about an earlier Customer are dropped", async (fixture) => {
  const { page, sandbox } = fixture;
  const application = await dwolla(sandbox.emulator);
  const [first, second] = [
    await application.post("/customers", unverified("First")),
    await application.post("/customers", unverified("Second")),
  ];
  const reading = await held(page, `**/customers/${first}`, "GET");
  await library(fixture, `<dwolla-customer-update customerId="${first}"></dwolla-customer-update>`);
  await reading.arrived();
  await page.locator("dwolla-customer-update").evaluate((element, id) => (element.customerId = id), second);
  await page.locator("#ssn").waitFor();
  const answered = page.waitForResponse(`**/customers/${first}`);
  await reading.release();
  await (await answered).finished();
  await page.evaluate(() => new Promise((done) => setTimeout(done, 50))); // for an answer that should not count
  assert.equal(await page.inputValue("#firstNameInput"), "Second");
  assert.deepEqual(await told(page), []);
});

test("a write is told after its element has gone", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "<dwolla-customer-create></dwolla-customer-create>");
  const create = page.locator("dwolla-customer-create");
  await fill(create);
  const writing = await held(page, "**/customers", "POST");
  await create.evaluate((element) => {
    const form = element.shadowRoot.querySelector("form");
    for (let i = 0; i < 3; i++) form.requestSubmit(); // sends once
  });
  await writing.arrived();
  const submit = page.locator("#dwolla-customer-create-submit");
  assert.ok(await submit.isDisabled());
  assert.match(await submit.getAttribute("class"), /dwolla-loading/);
  await page.evaluate(() => (globalThis.gone = document.querySelector("dwolla-customer-create")).remove());
  await writing.release();
  await poll(
    async () => (await told(page)).length > 0,
    () => "success was not called",
  );
  assert.equal(writing.count(), 1);
  const [event] = await told(page);
  assert.equal(event.resource, "customers");
  assert.match(event.response.location, /\/customers\/[0-9a-f-]{36}$/);
  assert.equal(await page.evaluate(() => globalThis.gone.shadowRoot.textContent.trim()), "");
});

test("a moved element keeps what was typed", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "<dwolla-customer-create></dwolla-customer-create>");
  await page.locator("#emailInput").fill("kept@example.com");
  await page.evaluate(() => document.querySelector("main").append(document.querySelector("dwolla-customer-create")));
  await page.evaluate(() => new Promise((done) => setTimeout(done, 50))); // for a restart that should not be
  assert.equal(await page.inputValue("#emailInput"), "kept@example.com");
});

test("an element asks once, whatever sets its attributes", async (fixture) => {
  const { page } = fixture;
  const application = await library(fixture, "");
  const [first, second] = [
    await application.post("/customers", unverified("First")),
    await application.post("/customers", unverified("Second")),
  ];
  await put(page, "dwolla-customer-update", { email: "a@example.com", customerId: first });
  await page.locator("#ssn").waitFor();
  await page.locator("dwolla-customer-update").evaluate((element, id) => {
    const { parentNode } = element;
    element.remove();
    element.customerId = id;
    parentNode.append(element);
    element.terms = "/terms";
    element.correlationId = "own";
  }, second);
  await page.waitForFunction(
    () =>
      document.querySelector("dwolla-customer-update").shadowRoot.querySelector("#firstNameInput")?.value === "Second",
  );
  await page.locator("dwolla-customer-update").evaluate((element) => (element.correlationId = "later"));
  await page.evaluate(() => new Promise((done) => setTimeout(done, 50))); // for a request that should not be
  assert.deepEqual(await askedFor(page), ["customer.read", "customer.read"]);
});

test("late prefill leaves typed fields alone", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "<dwolla-customer-create></dwolla-customer-create>");
  const create = page.locator("dwolla-customer-create");
  await page.locator("#emailInput").waitFor();
  await create.evaluate((element) =>
    Object.assign(element, { email: "filled@example.com", isBusiness: true, businessName: "Shop" }),
  );
  await page.locator("#businessNameInput").waitFor();
  assert.equal(await page.inputValue("#emailInput"), "filled@example.com");
  await page.locator("#firstNameInput").fill("Typed");
  await create.evaluate((element) => Object.assign(element, { firstName: "Other", correlationId: "late" }));
  await fill(create);
  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/customers"));
  await page.locator("#dwolla-customer-create-submit").click();
  const body = (await sent).postDataJSON();
  assert.equal(body.firstName, "Typed");
  assert.equal(body.correlationId, "late");
  assert.equal(body.businessName, "Shop");
  await success(page).waitFor();
});

test("a created Customer's id does not restart its element", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "<dwolla-personal-vcr></dwolla-personal-vcr>", {
    options:
      'success: (event) => (told.push(event), document.querySelector("dwolla-personal-vcr").customerId = event.response.location.split("/").pop()),',
  });
  await send(page.locator("dwolla-personal-vcr"));
  await success(page).getByText("You are verified.").waitFor();
  assert.deepEqual(await askedFor(page), ["customer.create", "customer.read"]);
});

test("configure may come late and again", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "", { attributes: 'data-patience="0"' });
  const link = page.locator("dwolla-customer-create link");
  await put(page, "dwolla-customer-create");
  await page.locator("#emailInput").waitFor();
  assert.equal(await link.getAttribute("href"), "/demo/dwolla.css");
  await page.evaluate(() => globalThis.dwolla.configure({ environment: "sandbox" }));
  await poll(
    async () => (await link.count()) === 0,
    () => "the style sheet stays",
  );
  await page.evaluate(() => globalThis.dwolla.configure({ environment: "production" }));
  await put(page, "dwolla-customer-create");
  await error(page).getByText("stand-in").waitFor();
});

test("an element without its attributes names them", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "", { attributes: 'data-grace="50"' });
  for (const [name, attributes, missing] of [
    ["dwolla-balance-display", {}, "customerId"],
    ["dwolla-micro-deposits-verify", { customerId: "x" }, "fundingSourceId"],
    ["dwolla-document-upload", { customerId: "x", type: "beneficial-owner" }, "ownerId"],
    ["dwolla-customer-create", { type: "receive-only" }, "terms and the attribute privacy"],
    ["dwolla-account-opening", {}, "clientAccountId"],
  ]) {
    await put(page, name, attributes);
    await error(page).getByText(`The element ${name} needs the attribute ${missing}.`).waitFor();
  }
  assert.equal((await told(page)).length, 5);
  assert.deepEqual(await askedFor(page), []);
});

test("secrets set as properties stay out of the DOM", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "<dwolla-payin></dwolla-payin>");
  const payin = page.locator("dwolla-payin");
  await payin.evaluate((element) => Object.assign(element, { token: "made by the backend", blob: "also" }));
  assert.deepEqual(await payin.evaluate((element) => [element.outerHTML, element.token]), [
    "<dwolla-payin></dwolla-payin>",
    "made by the backend",
  ]);
});

test("a retry leads to a document, and then to its review", async (fixture) => {
  const { page, expectConsole } = fixture;
  expectConsole(refusedByDwolla);
  const application = await library(fixture, "<dwolla-personal-vcr></dwolla-personal-vcr>");
  const vcr = page.locator("dwolla-personal-vcr");
  await send(vcr, { firstNameInput: "retry" });
  await page.locator("#dwolla-info-message").getByText("could not be verified").waitFor();
  await send(vcr, { firstNameInput: "document", ssn: "123-45-6789", dateOfBirth: "1990-01-02" });
  await page.locator("#documentType").waitFor();
  await send(vcr, { file: { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture") } });
  await error(page).getByText("File types supported").waitFor();
  await send(vcr, { file: picture });
  await success(page).getByText("has been received").waitFor();
  assert.equal(await focused(page), "dwolla-success");
  assert.deepEqual(await askedFor(page), [
    "customer.create",
    "customer.read",
    "customer.update",
    "customer.documents.create",
    "customer.documents.create",
  ]);
  const results = await told(page);
  assert.deepEqual(
    results.map(({ resource, response }) => [resource, response.code ?? "done"]),
    [
      ["customers", "done"],
      ["customers", "done"],
      ["documents", "InvalidFileType"],
      ["documents", "done"],
    ],
  );
  const id = results[0].response.location.split("/").pop();
  await put(page, "dwolla-document-upload", { customerId: id });
  await page.locator("#dwolla-info-message").getByText("in review").waitFor();
  assert.equal((await application.get(`/customers/${id}`)).status, "document");
});

test("a business is created in three pages by keyboard", async (fixture) => {
  const { page } = fixture;
  await library(fixture, "<dwolla-business-vcr></dwolla-business-vcr>");
  const vcr = page.locator("dwolla-business-vcr");
  await page.locator("#legalBusinessName").waitFor();
  assert.equal(await focused(page), "", "nobody has asked for the focus yet");
  await fill(vcr, { legalBusinessName: "Newman LLC", businessType: "llc" });
  await page.locator("#emailInput").press("Enter");
  await page.locator("#ein").waitFor();
  assert.equal(await focused(page), "dwolla-heading");
  await fill(vcr);
  await page.locator("#industry").selectOption({ index: 1 });
  const industry = await page.inputValue("#industry");
  await page.locator("#ein").press("Enter");
  await page.locator("#titleInputController").waitFor();
  await page.getByRole("button", { name: "Back" }).press("Enter");
  await page.locator("#ein").waitFor();
  assert.equal(await page.inputValue("#industry"), industry);
  await page.locator("#companyController").press("Space");
  await page.locator("#ein").press("Enter");
  await page.locator("#titleInputController").waitFor();
  assert.equal(await page.locator("#firstNameController").count(), 0);
  await fill(vcr, { titleInputController: "CEO", countryController: "FR" });
  await page.locator("#stateController").fill("IDF");
  await page.locator("#passportNumberController").fill("X1");
  await page.locator("#passportCountryController").selectOption("FR");
  await page.locator("input#termsCheckbox[name=agreed]").check();
  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/customers"));
  await page.locator("#dwolla-business-vcr-submit").press("Enter");
  const { controller, businessClassification } = (await sent).postDataJSON();
  assert.equal(businessClassification, industry);
  assert.equal(controller.firstName, "Nina");
  assert.deepEqual(controller.passport, { number: "X1", country: "FR" });
  assert.equal(controller.ssn, undefined);
  await success(page).getByText("You are verified.").waitFor();
  assert.deepEqual(await askedFor(page), ["businessclassifications.read", "customer.create", "customer.read"]);
});

test("owners are corrected, proven, deleted and certified", async (fixture) => {
  const { page } = fixture;
  const application = await library(fixture, "");
  const customerId = await application.post("/customers", company(await anIndustry(application)));
  await put(page, "dwolla-beneficial-owners", { customerId });
  const owners = page.locator("dwolla-beneficial-owners");
  await page.locator("input#hasOwners[name=ownersRadio]").check();
  await page.locator("#determine-owners-submit").click();
  await page.getByText("No owners have been added.").waitFor();
  for (const name of ["incomplete", "document", "Gone"]) {
    await page.locator("#add-owner-document").click();
    await page.locator("#countryBO").selectOption("US");
    await fill(owners, { firstNameInputBO: name, ssnBO: "123456789" });
    await page.locator("#add-owner-submit").click();
    await page.getByText(`${name} Newman`).waitFor();
  }
  assert.equal(await page.locator("#hasOwners-certify-submit").count(), 0, "not all owners are verified");
  await page.getByLabel("Edit incomplete Newman").click();
  assert.equal(await page.inputValue("#stateBO"), "IA");
  await fill(owners, { firstNameInputBO: "Right", ssnBO: "123456789" });
  await page.locator("#update-owner-submit").click();
  await page.getByText("Right Newman").waitFor();
  await page.getByLabel("Upload document Newman").click();
  await send(owners, { documentType: "license" });
  await success(page).getByText("document has been received").waitFor();
  for (const name of ["Gone", "document"]) {
    await page.getByLabel(`Delete ${name} Newman`).click();
    await page.locator("#deleteOwners").check();
    await page.getByRole("button", { name: "Confirm" }).click();
    await page.getByText(`${name} Newman`).waitFor({ state: "detached" });
  }
  await page.locator("input#hasOwners[name=certifyCorrectHasOwners]").check();
  await page.locator("#hasOwners-certify-submit").click();
  await success(page).getByText("are certified").waitFor();
  const asked = await askedFor(page);
  assert.deepEqual(asked.slice(0, 3), ["beneficialownership.read", "customer.read", "beneficialowners.read"]);
  for (const part of ["s.update", "s.delete", ".documents.create", "s.create"])
    assert.ok(asked.includes(`beneficialowner${part}`), part);
  assert.equal(asked.at(-1), "beneficialownership.certify");
  assert.equal((await application.get(`/customers/${customerId}/beneficial-ownership`)).status, "certified");
});

test("micro-deposits that failed to start start again", async (fixture) => {
  const { page, expectConsole } = fixture;
  expectConsole(/ERR_FAILED .*micro-deposits$|status of 400 /);
  const application = await library(fixture, "");
  const customerId = await application.post("/customers", verified());
  let broken = true;
  await page.route("**/micro-deposits", (route) => (broken ? route.abort() : route.continue()));
  await put(page, "dwolla-funding-source-create", { customerId, initiateMicroDeposits: "" });
  const create = page.locator("dwolla-funding-source-create");
  await fill(create, { routingNumber: "222222227" });
  await page.locator("#dwolla-funding-source-create-submit").click();
  assert.match(await page.locator("#routingNumber").evaluate((node) => node.validationMessage), /not valid/);
  await send(create, { routingNumber: "222222226" });
  await error(page).getByText("reaching Dwolla").waitFor();
  broken = false;
  await page.locator("#dwolla-micro-deposits-submit").click();
  await success(page).getByText("are on their way").waitFor();
  const [bank] = await told(page);
  const fundingSourceId = bank.response.location.split("/").pop();
  await put(page, "dwolla-micro-deposits-verify", { customerId, fundingSourceId });
  const verify = page.locator("dwolla-micro-deposits-verify");
  await send(verify, { amount1: "0.09", amount2: ".09" });
  await error(page).getByText("Wrong amount").waitFor();
  assert.equal(await focused(page), "amount1");
  await send(verify, { amount1: "0.03" });
  await success(page).getByText("is verified").waitFor();
  assert.deepEqual(await askedFor(page), [
    "customer.fundingsources.create",
    "customer.microdeposits.create",
    "customer.microdeposits.create",
    "customer.fundingsources.read",
    "customer.microdeposits.verify",
    "customer.microdeposits.verify",
  ]);
});

for (const colorScheme of ["light", "dark"]) {
  test(
    `the first page of every element is accessible in ${colorScheme}`,
    async (fixture) => {
      const { page, shot } = fixture;
      const application = await library(fixture, "");
      const owner = await application.post("/customers", company(await anIndustry(application)));
      const person = await application.post("/customers", verified());
      const document = await application.post("/customers", verified("document"));
      const plain = await application.post("/customers", unverified());
      for (const [name, attributes, ready] of [
        ["dwolla-customer-create", { terms: "/terms", privacy: "/privacy" }, "#emailInput"],
        ["dwolla-customer-update", { customerId: plain }, "#ssn"],
        ["dwolla-personal-vcr", {}, "#ssn"],
        ["dwolla-business-vcr", {}, "#legalBusinessName"],
        ["dwolla-beneficial-owners", { customerId: owner }, "#determine-owners-submit"],
        ["dwolla-document-upload", { customerId: document }, "#file"],
        ["dwolla-funding-source-create", { customerId: person }, "#routingNumber"],
        ["dwolla-micro-deposits-verify", { customerId: person, fundingSourceId: "none" }, "#dwolla-try-again"],
        ["dwolla-balance-display", { customerId: person }, ".dwolla-container"],
        ["dwolla-payin", { customerId: person, amount: "12.50" }, ".dwolla-empty"],
        ["dwolla-account-opening", { clientAccountId: "x" }, ".dwolla-info"],
      ]) {
        await put(page, name, attributes);
        await page.locator(`${name} ${ready}`).waitFor();
        await page.locator(`${name} .dwolla-loading`).waitFor({ state: "detached" });
        await accessible(page, name);
        await shot(`${name} ${colorScheme}`);
      }
    },
    { context: { colorScheme } },
  );
}
