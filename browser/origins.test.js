// Pages that are not on the service's own origin.
import assert from "node:assert/strict";

import { browserSuite, poll } from "./harness.js";
import { application, event, seen } from "./page.js";
import { site } from "./site.js";

const allowed = await site(); // another origin, the same site
const foreign = await site("localhost"); // another site
const stranger = await site(); // not in ALLOWED_ORIGINS

const { test } = browserSuite({
  args: ["-env", `ALLOWED_ORIGINS=${allowed.origin},${foreign.origin}`],
  hosts: [allowed.host, foreign.host, stranger.host],
});

const update = "<dwolla-customer-update></dwolla-customer-update>";

test("a page on an allowed origin works with the cookie", async ({ page, sandbox, signIn, asked, shot }) => {
  await signIn("dave");
  allowed.pages["/"] = application(update, { from: sandbox.url });
  await page.goto(allowed.origin);
  await page.locator("dwolla-customer-update #firstNameInput").waitFor();
  assert.equal((await event(page, "ready")).user.id, "dave");
  assert.deepEqual(await asked(), ["customer.read 200"]);
  await shot("allowed origin");
});

test("a sign-in brings the browser back to an allowed origin", async ({ page, sandbox, signInByHand, expectConsole }) => {
  allowed.pages["/account"] = application(update, { from: sandbox.url, signIn: "redirect" });
  expectConsole(/status of 401 .*\/dropgate\/session$/);
  await page.goto(`${allowed.origin}/account?from=mail`);
  await signInByHand("dave");
  await page.waitForURL(`${allowed.origin}/account?from=mail`);
  await page.locator("dwolla-customer-update #firstNameInput").waitFor();
});

test("a page on another site works with an access token", async ({ page, sandbox, asked, context }) => {
  const token = await (await fetch(`${sandbox.issuer}/token?user=dave`)).text();
  foreign.pages["/"] = `${application(update, { from: sandbox.url, configure: false })}
<script>
  dropgate.configure({ environment: "sandbox", getAccessToken: async () => (await fetch("/access-token")).text() });
</script>`;
  foreign.pages["/access-token"] = { type: "text/plain", body: token };
  await page.goto(foreign.origin);
  await page.locator("dwolla-customer-update #firstNameInput").waitFor();
  assert.deepEqual(await asked(), ["customer.read 200"]);
  assert.deepEqual(await context.cookies(), []);
});

test("a page on another site gets no cookie of the session", async ({ page, sandbox, signIn, expectConsole }) => {
  expectConsole(/status of 401 .*\/dropgate\/session$/);
  await signIn("dave");
  foreign.pages["/"] = application(update, { from: sandbox.url });
  await page.goto(foreign.origin);
  assert.match((await event(page, "signin-required")).loginUrl, /\/dropgate\/auth\/login\?return_to=/);
});

test("a page on a strange origin learns nothing", async ({ page, context, sandbox, signIn, audit, expectConsole }) => {
  expectConsole(/blocked by CORS policy|net::ERR_FAILED|status of 403/);
  await signIn("erin");
  stranger.pages["/"] = application(update, { from: sandbox.url });
  await page.goto(stranger.origin);
  assert.equal((await event(page, "unavailable")).code, "NetworkError");
  const answers = await page.evaluate(async (service) => {
    const attempt = (path, options) =>
      fetch(service + path, { credentials: "include", ...options }).then(
        () => "read",
        () => "blocked",
      );
    const vend = { method: "POST", body: '{"action":"customer.read"}' };
    const json = { headers: { "Content-Type": "application/json" } };
    return Promise.all([
      attempt("/session"),
      attempt("/session", { method: "POST" }),
      attempt("/client-tokens", { ...vend, ...json }),
      attempt("/client-tokens", vend), // a simple request, which needs no preflight
    ]);
  }, sandbox.service);
  assert.deepEqual(answers, ["blocked", "blocked", "blocked", "blocked"]);
  assert.deepEqual((await seen(page)).filter(({ name }) => name === "ready"), []);

  // The only token in the audit trail is the one that erin's own page asks for.
  const own = { headers: { Origin: sandbox.url }, data: { action: "customer.documents.read" } };
  assert.equal((await context.request.post(`${sandbox.service}/client-tokens`, own)).status(), 200);
  const vended = () => audit().filter((entry) => entry.user === "erin" && entry.outcome === "vended");
  await poll(() => vended().some(({ action }) => action === "customer.documents.read"), sandbox.log);
  assert.deepEqual(vended().map(({ action }) => action), ["customer.documents.read"]);
});
