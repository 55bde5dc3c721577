// Signs in at the demo page through Chromium, as hack/verify-compose does.
//
//   node hack/sign-in.mjs http://127.0.0.1:8080 screenshot.png
//
// It needs `npm ci` in browser/, and Chromium (CHROMIUM names another program).
import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { send } from "../browser/forms.js";

const { chromium } = createRequire(new URL("../browser/package.json", import.meta.url))("playwright-core");
const [url, screenshot] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = await browser.newPage({ viewport: { width: 1400, height: 1000 }, reducedMotion: "reduce" });
page.setDefaultTimeout(30_000);
const faults = [];
page.on("pageerror", (error) => faults.push(error.message));
page.on("console", (message) => {
  // Before the sign-in, GET /session answers 401.
  if (message.type() === "error" && !/status of 401/.test(message.text())) faults.push(message.text());
});

try {
  await page.goto(`${url}/?tab=balance-display`);
  await page.locator("[data-persona=alice]").click();
  await page.locator("#who").getByText("Signed in as alice").waitFor();
  const balance = page.locator("dwolla-balance-display #dwolla-balance");
  await balance.waitFor();
  assert.match(await balance.innerText(), /1,?250\.00/);
  assert.equal(new URL(page.url()).origin, url);
  await page.locator("#attack-foreign-customer").click();
  await page.locator("#attack-result").getByText("CustomerMismatch").first().waitFor();
  await page.evaluate(() => scrollTo(0, 0));
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  await page.locator("#attack-replayed-cookie").click();
  await page.locator("#attack-result").getByText("Refused", { exact: true }).waitFor();
  await page.locator("#attack-forged-webhook").click();
  await page.locator("#attack-result").getByText("Refused", { exact: true }).waitFor();
  await page.locator("#sign-out").click();
  await page.locator("#who").getByText("Signed out").waitFor();

  // Carol is new. The link that the emulator sends her must lead the server to her Customer.
  await page.goto(`${url}/?tab=customer-create`);
  await page.locator("[data-persona=carol]").click();
  await page.locator("#session").getByText("none yet").waitFor();
  await send(page.locator("dwolla-customer-create"));
  await page.locator("#session").getByText("none yet").waitFor({ state: "detached" });
  await page.getByText("Your account has been created.").waitFor();
  const unexpected = faults.filter((text) => !/status of 403 /.test(text)); // the attacks
  assert.deepEqual(unexpected, []);
  console.log("alice saw her balance, was refused bob's Customer, and signed out; carol created her Customer");
} catch (error) {
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  console.error(faults.join("\n"));
  throw error;
} finally {
  await browser.close();
}
