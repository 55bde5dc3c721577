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

const places = {
  DOM: (secret) => document.body.setAttribute("data-kept", secret),
  "DOM, in a shadow root": (secret) =>
    document.body.appendChild(document.createElement("p")).attachShadow({ mode: "open" }).append(secret),
  "DOM, in a field": (secret) => (document.body.appendChild(document.createElement("input")).value = secret),
  localStorage: (secret) => localStorage.setItem("kept", secret),
  sessionStorage: (secret) => sessionStorage.setItem("kept", secret),
  console: (secret) => console.log(secret),
  URL: (secret) => history.replaceState(null, "", `#${secret}`),
};

for (const [place, keep] of Object.entries(places)) {
  test(`the harness notices a secret in the ${place}`, async ({ show, page, context, leaks, expectConsole }) => {
    expectConsole(/is in the console: (ABCD|c2Vz)/);
    await show("<p>Nothing yet</p>");
    assert.deepEqual(await leaks(), []);
    const token = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQR";
    await page.evaluate(keep, token);
    assert.match((await leaks()).join(), /client token or access token is in/);
    const cookie = "c2Vzc2lvbg-cookie";
    await page.reload();
    await page.evaluate(() => (localStorage.clear(), sessionStorage.clear(), history.replaceState(null, "", "#")));
    await context.addCookies([{ name: "dropgate-session", value: cookie, url: page.url() }]);
    await page.evaluate(keep, cookie);
    assert.match((await leaks()).join(), /session cookie is in/);
    await page.close(); // the secrets are gone with it, apart from the console
  });
}
