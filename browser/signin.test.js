import assert from "node:assert/strict";

import { browserSuite } from "./harness.js";

const { test } = browserSuite();

test("a sign-in opens the session of the chosen user", async ({ page, sandbox, signInByHand, shot }) => {
  await page.goto(`${sandbox.service}/auth/login?return_to=/`);
  await shot("provider");
  await signInByHand("bob");
  await page.waitForURL(`${sandbox.url}/`);
  const session = await page.evaluate(async (at) => (await fetch(at)).json(), `${sandbox.service}/session`);
  assert.equal(session.user.id, "bob");
});

test("the browser stores the session cookie as documented", async ({ context, sandbox, signIn }) => {
  await signIn("alice");
  const cookies = (await context.cookies(sandbox.url)).filter(({ name }) => name.includes("dropgate"));
  assert.deepEqual(
    cookies.map(({ name, httpOnly, secure, sameSite, path, domain }) => ({ name, httpOnly, secure, sameSite, path, domain })),
    // Without Secure and __Host-, because the sandbox speaks http on 127.0.0.1.
    [{ name: "dropgate-session", httpOnly: true, secure: false, sameSite: "Strict", path: "/", domain: "127.0.0.1" }],
  );
  assert.equal(cookies[0].expires, -1, "the cookie ends with the browser");
});

test("no script of a page reads the session cookie", async ({ page, show, signIn }) => {
  await signIn("alice");
  await show("<p>A page</p>");
  assert.equal(await page.evaluate(() => document.cookie), "");
  const kept = await page.evaluate(async () => (await cookieStore.getAll()).map(({ name }) => name));
  assert.deepEqual(kept, []);
});
