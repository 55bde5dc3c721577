// The harness must notice what it promises to notice, or every other test here
// would pass for the wrong reason.
import assert from "node:assert/strict";

import { browserSuite, poll } from "./harness.js";

const { test } = browserSuite();

const faulty = {
  "a console error": { code: () => console.error("a fault"), fault: /^console error: a fault / },
  "an error that no script caught": {
    code: () => queueMicrotask(() => { throw new Error("uncaught"); }),
    fault: /^page error: Error: uncaught/,
  },
  "a request to another host": {
    code: () => void fetch("http://dwolla.example/", { mode: "no-cors" }).catch(() => {}),
    fault: /^request to another host: http:\/\/dwolla\.example\//,
    also: /ERR_NAME_NOT_RESOLVED/,
  },
  "a violation of the content security policy": {
    code: () => {
      const policy = document.createElement("meta");
      policy.httpEquiv = "Content-Security-Policy";
      policy.content = "img-src 'none'";
      document.head.append(policy);
      document.body.append(Object.assign(new Image(), { src: "/picture.png" }));
    },
    fault: /^console error: .*violates the following Content Security Policy/,
  },
};

// blank shows an empty page with the URL at.
async function blank(page, at) {
  await page.route(at, (route) => route.fulfill({ contentType: "text/html", body: "<!DOCTYPE html>" }));
  await page.goto(at);
}

for (const [what, { code, fault, also }] of Object.entries(faulty)) {
  test(`the harness notices ${what}`, async ({ page, sandbox, expectConsole, faults }) => {
    await blank(page, `${sandbox.url}/blank`);
    await page.evaluate(code);
    await poll(() => faults().some((found) => fault.test(found)), () => `faults: ${faults()}`);
    expectConsole(fault);
    if (also) {
      await poll(() => faults().some((found) => also.test(found)), () => `faults: ${faults()}`);
      expectConsole(also);
    }
    assert.deepEqual(faults(), []);
  });
}

test("the harness keeps requests on this machine", async ({ browser, page, expectConsole, allowHost }) => {
  allowHost("example.com");
  expectConsole(/ERR_NAME_NOT_RESOLVED/);
  assert.ok(browser.version());
  await assert.rejects(page.goto("http://example.com/"), /ERR_NAME_NOT_RESOLVED/);
});
