// Accessibility of the demo page and of the components in it, judged by axe-core.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { openTab } from "./demo.js";
import { browserSuite } from "./harness.js";

const { test } = browserSuite();
const axe = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

const users = {
  "customer-create": "carol",
  "customer-update": "dave",
  "personal-vcr": "carol",
  "business-vcr": "carol",
  "beneficial-owners": "bob",
  "document-upload": "erin",
  "funding-source-create": "alice",
  "micro-deposits-verify": "alice",
  "balance-display": "alice",
  payin: "alice",
  "account-opening": "alice",
};

// violations runs axe in a part of the page, by default the whole.
async function violations(page, part = "html") {
  await page.evaluate(axe);
  const found = await page.evaluate(
    async (where) => (await globalThis.axe.run(where, { resultTypes: ["violations"] })).violations,
    part,
  );
  return found.flatMap(({ id, impact, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${impact} ${id}: ${target.flat().join(" ")} ${failureSummary}`),
  );
}

// axe tries out inline styles, which the page's own policy forbids. All other tests run
// under the policy.
const options = { context: { bypassCSP: true } };

// inBothColors runs axe in light and in dark colors, and adds what it finds to found.
async function inBothColors(page, found, name, part) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const faults = await violations(page, part);
    if (faults.length > 0) found[`${name} ${colorScheme}`] = faults;
  }
}

test(
  "every tab is accessible in light and dark colors",
  async ({ page, sandbox, signIn, shot }) => {
    const found = {};
    for (const [tab, user] of Object.entries(users)) {
      await signIn(user);
      const element = await openTab(page, sandbox, tab);
      await element.locator("h2, p").first().waitFor();
      await element.locator(".dwolla-loading").waitFor({ state: "detached" });
      await shot(`${tab} in dark colors`);
      await inBothColors(page, found, tab, "#components");
    }
    await inBothColors(page, found, "the whole page");
    assert.deepEqual(found, {});
  },
  { context: { ...options.context, colorScheme: "dark" } },
);

test(
  "the page is accessible before a sign-in",
  async ({ page, sandbox, expectConsole }) => {
    expectConsole(/status of 401 .*\/dropgate\/session$/);
    const found = {};
    await page.goto(sandbox.url);
    await page.getByText("Choose a user above").waitFor();
    await inBothColors(page, found, "the page");
    assert.deepEqual(found, {});
  },
  options,
);

test(
  "a refusal is accessible",
  async ({ page, sandbox, signIn, setPolicy, shot, expectConsole }) => {
    expectConsole(/status of 403 /);
    const found = {};
    await signIn("erin");
    await setPolicy("erin", "none");
    const element = await openTab(page, sandbox, "document-upload");
    await element.locator("#dwolla-error-message").waitFor();
    await page.locator("#attack-foreign-customer").click();
    await page.locator("#attack-result .verdict").getByText("Refused", { exact: true }).waitFor();
    await inBothColors(page, found, "the page");
    await shot("refused");
    assert.deepEqual(found, {});
  },
  options,
);

test("every tab fits into a phone and a tablet", async ({ page, sandbox, signIn, shot, expectConsole }) => {
  expectConsole(/status of 403 .*\/beneficial-ownership$/); // alice is no business
  await signIn("alice");
  for (const tab of Object.keys(users)) {
    const element = await openTab(page, sandbox, tab);
    await element.locator(".dwolla-loading").waitFor({ state: "detached" });
    for (const width of [390, 768]) {
      await page.setViewportSize({ width, height: 800 });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${tab} is ${overflow} pixels too wide for ${width}`);
    }
    if (tab === "business-vcr") await shot("768 pixels");
  }
  await page.setViewportSize({ width: 390, height: 800 });
  await shot("390 pixels");
});
