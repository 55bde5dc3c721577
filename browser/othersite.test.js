// The provider is on another site (localhost) than the service (127.0.0.1). Browsers
// then do not send a SameSite=Strict cookie on the way back from the sign-in.
import assert from "node:assert/strict";

import { browserSuite } from "./harness.js";
import { site } from "./site.js";

const app = await site();

const { test } = browserSuite({
  providerHost: "localhost",
  args: ["-env", `ALLOWED_ORIGINS=${app.origin}`],
  hosts: [app.host],
});

// render makes the page of a server-rendered application. It asks the service about
// the session, and sends the browser to the sign-in if there is none.
function render(sandbox) {
  return async ({ headers }) => {
    const session = await fetch(`${sandbox.service}/session`, { headers: { Cookie: headers.cookie ?? "" } });
    if (session.ok) return `<link rel="icon" href="data:,"><h1>Hello ${(await session.json()).user.id}</h1>`;
    const login = `${sandbox.service}/auth/login?return_to=${encodeURIComponent(`${app.origin}/account`)}`;
    return { status: 303, headers: { Location: login } };
  };
}

for (const javaScriptEnabled of [true, false]) {
  const how = javaScriptEnabled ? "" : " without JavaScript";
  test(
    `the first page after a sign-in has its session${how}`,
    async ({ page, sandbox, signInByHand, requests }) => {
      app.pages["/account"] = render(sandbox);
      await page.goto(`${app.origin}/account`);
      await signInByHand("alice");
      await page.getByRole("heading", { name: "Hello alice" }).waitFor();
      const visits = requests.filter((request) => request.url() === `${app.origin}/account`);
      assert.equal(visits.length, 2, "one visit before the sign-in and one after it");
    },
    { context: { javaScriptEnabled } },
  );
}

test("a new sign-in replaces the old session", async ({ page, context, sandbox, signInByHand }) => {
  app.pages["/account"] = render(sandbox);
  await page.goto(`${app.origin}/account`);
  await signInByHand("alice");
  await page.getByRole("heading", { name: "Hello alice" }).waitFor();
  const [old] = (await context.cookies(sandbox.url)).filter(({ name }) => name === "dropgate-session");

  await context.clearCookies({ domain: "localhost" }); // alice's session at the provider
  await page.goto(`${sandbox.service}/auth/login?return_to=${encodeURIComponent(`${app.origin}/account`)}`);
  await signInByHand("bob");
  await page.getByRole("heading", { name: "Hello bob" }).waitFor();
  const replayed = await fetch(`${sandbox.service}/session`, { headers: { Cookie: `${old.name}=${old.value}` } });
  assert.equal(replayed.status, 401);
});
