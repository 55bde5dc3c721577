// The end of a session: after its idle time, and in all tabs at once.
import assert from "node:assert/strict";

import { openTab } from "./demo.js";
import { send } from "./forms.js";
import { browserSuite, poll } from "./harness.js";
import { application, errorOf, event } from "./page.js";

const { test } = browserSuite({ args: ["-env", "SESSION_IDLE_TIMEOUT=1m"] });

const update = "<dwolla-customer-update></dwolla-customer-update>";
const unauthenticated = /status of 401 .*\/dropgate\/(client-tokens|session)$/;

test("an idle session ends, and the browser comes back with a new one", async (given) => {
  const { page, context, sandbox, signIn, expectConsole } = given;
  expectConsole(unauthenticated);
  const { expiresAt } = await signIn("dave");
  const element = await openTab(page, sandbox, "customer-update");
  await element.locator("#firstNameInput").waitFor();
  await page.locator("#page-event").getByText("The session ends within two minutes.").waitFor();
  const extended = await page.evaluate(() => dropgate.keepAlive());
  assert.ok(Date.parse(extended.expiresAt) > Date.parse(expiresAt), `${extended.expiresAt} is not after ${expiresAt}`);

  // Reading the session does not extend it.
  const ended = async () => (await context.request.get(`${sandbox.service}/session`)).status() === 401;
  await poll(ended, sandbox.log, { every: 1000, within: 120_000 });
  await page.evaluate(() => (globalThis.isOldPage = true));
  await send(element);
  // The provider still knows dave, so nobody has to press a button there.
  await page.waitForFunction(() => !globalThis.isOldPage && document.querySelector("dwolla-customer-update"));
  await element.locator("#firstNameInput").waitFor();
  assert.equal(page.url(), `${sandbox.url}/?tab=customer-update`);
  assert.equal((await context.request.get(`${sandbox.service}/session`)).status(), 200);
});

test("a sign-out in one tab ends the session in the other", async (given) => {
  const { page, context, show, signIn, asked, shot, expectConsole } = given;
  expectConsole(unauthenticated);
  await signIn("dave");
  const other = await context.newPage();
  await show(application(update));
  await show(application(update), other);
  const form = other.locator("dwolla-customer-update");
  await form.locator("#firstNameInput").waitFor();
  await page.locator("dwolla-customer-update #firstNameInput").waitFor();

  await page.evaluate(() => dropgate.signOut());
  await send(form);
  assert.match((await event(other, "signin-required")).loginUrl, /\/dropgate\/auth\/login\?return_to=/);
  await errorOf(form).waitFor();
  assert.deepEqual(await asked(), ["customer.read 200", "customer.read 200", "customer.update 401"]);
  await shot("signed out elsewhere", other);
});
