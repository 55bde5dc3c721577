// The demo page around the components: users, policy, attacks, faults and the keyboard.
import assert from "node:assert/strict";

import { inspected, openTab } from "./demo.js";
import { browserSuite, poll } from "./harness.js";
import { errorOf } from "./page.js";

const { test } = browserSuite();

const refusedByService = /status of (401|403|409) .*\/dropgate\/(client-tokens|session\/customer)$/;

test("a visitor signs in by a click and comes back to the tab", async ({ page, sandbox, shot, expectConsole }) => {
  expectConsole(/status of 401 .*\/dropgate\/session$/);
  const answer = await page.goto(`${sandbox.url}/?tab=balance-display`);
  // The harness fails every test whose page violates this policy.
  const policy = answer.headers()["content-security-policy"];
  assert.match(policy, /^default-src 'none';/);
  assert.doesNotMatch(policy, /unsafe-|\*|data:/);
  await page.getByText("Choose a user above").waitFor();
  await shot("nobody is signed in");
  await page.locator("[data-persona=alice]").click();
  await page.locator("dwolla-balance-display #dwolla-balance").waitFor();
  assert.equal(page.url(), `${sandbox.url}/?tab=balance-display`);
  assert.deepEqual(await inspected(page, "alice", 1), ["customer.fundingsources.read vended"]);
  await page.locator("#who").getByText("Signed in as alice").waitFor();
});

test("a new user is made by a click", async ({ page, sandbox, expectConsole }) => {
  expectConsole(/status of 401 .*\/dropgate\/session$/);
  await page.goto(`${sandbox.url}/?tab=personal-vcr`);
  await page.locator("#new-user").click();
  await page.locator("dwolla-personal-vcr #firstNameInput").waitFor();
  await page.locator("#session").getByText("none yet").waitFor();
});

test("the policy decides about the next token", async ({ page, sandbox, signIn, setPolicy, shot, expectConsole }) => {
  expectConsole(refusedByService);
  await setPolicy("dave", "all");
  await signIn("dave");
  const element = await openTab(page, sandbox, "balance-display");
  await element.getByText("This account has no balance.").waitFor();
  await page.locator("#policy").selectOption("none");
  await page.getByText("dave now has the policy none.").waitFor();
  await page.locator("#reload").click();
  await errorOf(element).waitFor();
  await page.locator("#page-event").getByText("ActionNotAllowed", { exact: true }).waitFor();
  assert.deepEqual(await inspected(page, "dave", 2), [
    "customer.fundingsources.read vended",
    "customer.fundingsources.read ActionNotAllowed",
  ]);
  await shot("policy none");
  await setPolicy("dave", "all");
});

const attacks = {
  "foreign-customer": "CustomerMismatch",
  "claim-customer": "CustomerMismatch",
  "forbidden-action": "ActionNotAllowed",
  "no-session": "Unauthenticated",
  "cross-origin-form": "CrossOriginRequest",
  "replayed-cookie": "Unauthenticated",
  "forged-webhook": "Unauthenticated",
};

test("every attack of the page is tried here", async ({ page, sandbox, signIn }) => {
  await signIn("alice");
  await openTab(page, sandbox, "payin");
  const offered = await page.locator(".attacks button").evaluateAll((all) => all.map(({ id }) => id.replace("attack-", "")));
  assert.deepEqual(offered.sort(), Object.keys(attacks).sort());
});

for (const [attack, code] of Object.entries(attacks)) {
  test(`the attack ${attack} is refused`, async ({ page, context, sandbox, signIn, audit, allowHost, expectConsole }) => {
    expectConsole(refusedByService);
    expectConsole(/status of 403 .*\/dropgate\//); // in the attacker's window
    await signIn("alice");
    await openTab(page, sandbox, "account-opening");
    allowHost(new URL(await page.locator("body").getAttribute("data-stranger")).host);
    const before = audit().filter(({ outcome }) => outcome === "vended" || outcome === "linked").length;
    await page.locator(`#attack-${attack}`).click();
    await page.locator("#attack-result .verdict").getByText("Refused", { exact: true }).waitFor();
    await page.locator("#attack-result").getByText(code).last().waitFor();
    const session = await (await context.request.get(`${sandbox.service}/session`)).json();
    assert.equal(session.customer.id, "11111111-1111-4111-8111-111111111111");
    const after = audit().filter(({ outcome }) => outcome === "vended" || outcome === "linked").length;
    assert.equal(after, before, "an attack got a token or a link");
  });
}

// The code that the page learns while Dwolla has a fault.
const faults = { throttle: "Unavailable", outage: "Unavailable", slow: "UpstreamTimeout" };

for (const [fault, code] of Object.entries(faults)) {
  test(`the fault ${fault} of Dwolla is explained and heals`, async ({ page, sandbox, signIn, setFault, shot, expectConsole }) => {
    expectConsole(/status of 50[234] .*\/dropgate\/client-tokens$/);
    await signIn("alice");
    const element = await openTab(page, sandbox, "balance-display");
    await element.locator("#dwolla-balance").waitFor();
    try {
      await page.locator("#fault").selectOption(fault);
      await page.getByText(`Dwolla now has the fault ${fault}.`).waitFor();
      await page.locator("#reload").click();
      await errorOf(element).waitFor();
      await page.locator("#page-event").getByText(code, { exact: true }).first().waitFor();
      await shot(`fault ${fault}`);
    } finally {
      await setFault("none");
    }
    await poll(
      async () => {
        await page.locator("#reload").click();
        await element.locator("#dwolla-balance, #dwolla-error").first().waitFor();
        return (await element.locator("#dwolla-balance").count()) === 1;
      },
      () => "the balance stays away after the fault",
      { every: 1000 },
    );
  });
}

test("a sign-out in one tab ends the session in the other", async ({ page, context, sandbox, signIn, expectConsole }) => {
  expectConsole(/status of 401 .*\/dropgate\/(client-tokens|session)$/);
  await signIn("dave");
  const other = await context.newPage();
  await openTab(page, sandbox, "account-opening");
  const element = await openTab(other, sandbox, "customer-update");
  await element.waitFor();
  await page.locator("#sign-out").click();
  await page.waitForURL((url) => url.origin === sandbox.issuer || url.pathname === "/");
  const session = await context.request.get(`${sandbox.service}/session`);
  assert.equal(session.status(), 401);
  await other.locator("#reload").click();
  await other.waitForURL((url) => url.origin === sandbox.issuer);
});

test("the tabs work with the keyboard alone", async ({ page, sandbox, signIn }) => {
  await signIn("alice");
  await openTab(page, sandbox, "customer-create");
  const tab = (name) => page.locator(`#tab-${name}`);
  const focused = (name) => page.waitForFunction((id) => document.activeElement?.id === id, `tab-${name}`);
  await tab("customer-create").focus();
  await page.keyboard.press("End");
  await focused("account-opening");
  await page.keyboard.press("ArrowUp");
  await focused("payin");
  await page.locator("dwolla-payin").getByText("Alice's checking").waitFor();
  await page.keyboard.press("Home");
  await focused("customer-create");
  assert.equal(await tab("customer-create").getAttribute("aria-selected"), "true");
});
