import assert from "node:assert/strict";

import { browserSuite } from "./harness.js";

const { test } = browserSuite();

test("a sign-in opens the session of the chosen user", async ({ page, sandbox, signIn, expectConsole }) => {
  expectConsole(/status of 40[34] .*\/harness$/); // the service has no page there
  await signIn("bob", { returnTo: "/harness" });
  const session = await page.request.get(`${sandbox.service}/session`, { headers: { "Sec-Fetch-Site": "same-origin" } });
  assert.equal((await session.json()).user.id, "bob");
});
