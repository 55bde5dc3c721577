// Whatever a page or a user does wrong ends in a message or an event that says what.
import assert from "node:assert/strict";

import { send } from "./forms.js";
import { browserSuite, poll } from "./harness.js";
import { application, errorOf, event, pauseClock, seen, successOf } from "./page.js";

const { test } = browserSuite();

const alice = "11111111-1111-4111-8111-111111111111";
const bob = "22222222-2222-4222-8222-222222222222";
const status = (code) => new RegExp(`status of ${code} .*/dropgate/client-tokens$`);

test("an element without customerId says that it needs one", async ({ page, show, signIn, asked, shot }) => {
  await signIn("carol"); // has no Customer, so dropgate.js has no id to fill in
  await show(application("<dwolla-customer-update></dwolla-customer-update>"));
  await errorOf(page.locator("dwolla-customer-update")).getByText("needs the attribute customerId").waitFor();
  assert.match((await event(page, "error")).message, /customerId/);
  assert.deepEqual(await asked(), []);
  await shot("no customerId");
});

test("an element with another user's customerId is refused", async ({ page, show, signIn, asked, expectConsole }) => {
  expectConsole(status(403));
  await signIn("alice");
  await show(application(`<dwolla-customer-update customerId="${bob}"></dwolla-customer-update>`));
  const refused = await event(page, "refused");
  assert.equal(refused.code, "CustomerMismatch");
  assert.equal(refused.action, "customer.read");
  assert.ok(refused.requestId);
  await errorOf(page.locator("dwolla-customer-update")).waitFor();
  assert.deepEqual(await asked(), ["customer.read 403"]);
});

test("a customerId changed during a request mixes no Customers", async ({ page, show, signIn, requests, expectConsole }) => {
  expectConsole(status(403));
  await signIn("alice");
  const held = [];
  await page.route("**/dropgate/client-tokens", async (route) => {
    held.push(route);
    if (held.length > 1) await route.continue();
  });
  await show(application("<dwolla-balance-display></dwolla-balance-display>"));
  await poll(() => held.length === 1, () => "no request for a token");
  await page.locator("dwolla-balance-display").evaluate((element, id) => element.setAttribute("customerId", id), bob);
  await event(page, "refused");
  const late = page.waitForResponse((response) => response.url().endsWith("/client-tokens") && response.ok());
  await held[0].continue();
  await late;
  await errorOf(page.locator("dwolla-balance-display")).waitFor();
  assert.equal(await page.locator("dwolla-balance-display #dwolla-balance").count(), 0);
  assert.deepEqual(requests.filter((request) => request.url().includes(`/customers/${bob}`)), []);
});

test("a double click sends a form once", async ({ page, show, signIn, asked }) => {
  await signIn("carol");
  await show(application("<dwolla-customer-create></dwolla-customer-create>"));
  const create = page.locator("dwolla-customer-create");
  const submit = create.locator("#dwolla-customer-create-submit");
  await submit.waitFor();
  await create.locator("#firstNameInput").fill("Carol");
  await create.locator("#lastNameInput").fill("Demo");
  await create.locator("#emailInput").fill("carol.once@example.com");
  await create.locator("#checkbox").check();
  await submit.dblclick();
  await successOf(create).waitFor();
  await event(page, "linked");
  assert.deepEqual(await asked(), ["customer.create 200"]);
});

test("a second tab cannot create a second Customer", async ({ page, context, show, newUser, signIn, expectConsole }) => {
  expectConsole(status(409));
  await signIn(await newUser());
  const other = await context.newPage();
  const html = application("<dwolla-customer-create></dwolla-customer-create>");
  await show(html);
  await show(html, other);
  await other.locator("dwolla-customer-create #emailInput").waitFor();
  await send(page.locator("dwolla-customer-create"));
  await event(page, "linked");
  await send(other.locator("dwolla-customer-create"));
  assert.equal((await event(other, "refused")).code, "CustomerAlreadyLinked");
  await errorOf(other.locator("dwolla-customer-create")).waitFor();
});

const endpoints = {
  "answers HTML": {
    answer: (route) => route.fulfill({ contentType: "text/html", body: "<h1>Welcome</h1>" }),
    code: "InvalidResponse",
  },
  "answers nothing": { answer: (route) => route.fulfill({ status: 204 }), code: "InvalidResponse" },
  "cannot be reached": { answer: (route) => route.abort(), code: "NetworkError", fault: /ERR_FAILED .*client-tokens$/ },
  hangs: { answer: () => {}, code: "Timeout", after: 31_000 },
};

for (const [what, { answer, code, fault, after = 0 }] of Object.entries(endpoints)) {
  test(`a token endpoint that ${what} ends in a message`, async ({ page, show, signIn, expectConsole }) => {
    if (fault) expectConsole(fault);
    await signIn("alice");
    await controlClock(page);
    await page.route("**/dropgate/client-tokens", answer);
    await show(application("<dwolla-balance-display></dwolla-balance-display>"));
    if (after) {
      await page.waitForRequest("**/dropgate/client-tokens");
      await page.clock.runFor(after);
    }
    const unavailable = await event(page, "unavailable");
    assert.equal(unavailable.code, code);
    assert.match(unavailable.message, /client-tokens/);
    await errorOf(page.locator("dwolla-balance-display")).getByText("token").waitFor();
  });
}

test("a library that arrives late works then", async ({ page, show, signIn, sandbox }) => {
  await signIn("dave");
  await pauseClock(page);
  await show(application("<dwolla-customer-update></dwolla-customer-update>", { library: "" }));
  await event(page, "ready");
  assert.deepEqual((await seen(page)).filter(({ name }) => name === "library-missing"), []);
  await page.clock.runFor(11_000);
  assert.equal((await event(page, "library-missing")).after, 10);
  await page.addScriptTag({ url: `${sandbox.url}/dwolla-web.js` });
  await page.clock.runFor(1_000);
  await page.locator("dwolla-customer-update #firstNameInput").waitFor();
});

test("a library that never arrives is reported once", async ({ page, show, signIn, expectConsole }) => {
  expectConsole(/ERR_FAILED .*\/dwolla-web\.js$/);
  await signIn("alice");
  await pauseClock(page);
  await page.route("**/dwolla-web.js", (route) => route.abort());
  await show(application("<dwolla-balance-display></dwolla-balance-display>"));
  await event(page, "ready");
  await page.clock.runFor(60_000);
  await event(page, "library-missing");
  assert.equal((await seen(page)).filter(({ name }) => name === "library-missing").length, 1);
});

// controlClock lets a test move the page's clock, also for AbortSignal.timeout, which
// Playwright's clock leaves alone.
async function controlClock(page) {
  await page.clock.install();
  await page.addInitScript(() => {
    AbortSignal.timeout = (milliseconds) => {
      const control = new AbortController();
      setTimeout(() => control.abort(new DOMException("The time is over.", "TimeoutError")), milliseconds);
      return control.signal;
    };
  });
}
