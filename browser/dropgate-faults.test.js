// dropgate.js when the service, the network or Dwolla fail.
import assert from "node:assert/strict";

import { alice, carol, disconnect, faultyService, hang, json, problem } from "./faultyservice.js";
import { browserSuite, poll } from "./harness.js";
import { pauseClock } from "./page.js";
import { eventOf, eventsOf, script, tokenOf, watchEvents } from "./watchevents.js";

const { test } = browserSuite();
const service = await faultyService();

// open shows a page with the script and a library, once the library is configured.
async function open({ page, sandbox, allowHost, expectConsole }, answers = {}, html = script) {
  allowHost(service.host);
  expectConsole(/Failed to load resource/);
  await service.load(sandbox);
  for (const [call, all] of Object.entries(answers)) service.answers(call, ...all);
  await watchEvents(page);
  await service.open(page, `<script>dwolla = library</script>${html}`);
  await page.waitForFunction(() => configured.length > 0);
}

test("a client token comes from the service", async (fixture) => {
  const { page } = fixture;
  await open(fixture);
  const customer = { href: "https://api-sandbox.dwolla.com/customers/c-1" };
  const request = { action: "customer.read", links: { customer }, _links: { customer } };
  assert.deepEqual(await tokenOf(page, request), { token: "a-token" });
  const { body, headers } = service.calls.at(-1);
  assert.deepEqual(body, request);
  assert.equal(headers["content-type"], "application/json");
  assert.equal(headers.authorization, undefined);
  assert.deepEqual(await eventsOf(page, "unavailable"), []);
});

const answers = {
  HTML: [{ body: "<!DOCTYPE html>" }, "unavailable", "InvalidResponse", /answered 200/],
  "an error page": [{ status: 502, body: "<h1>Bad gateway</h1>" }, "unavailable", "InvalidResponse", /answered 502/],
  nothing: [{ body: "" }, "unavailable", "InvalidResponse", /answered 200/],
  null: [json(200, null), "unavailable", "InvalidResponse", /answered 200/],
  "no token": [json(200, { token: "" }), "unavailable", "InvalidResponse", /answered 200/],
  "a lost connection": [disconnect, "unavailable", "NetworkError", /cannot be reached/],
  "a redirect": [{ status: 302, headers: { Location: "/page" }, body: "" }, "unavailable", "NetworkError", /cannot be reached/],
  "an outage": [problem(503, "Unavailable", { "Retry-After": "1" }), "unavailable", "Unavailable", /message of Unavailable/],
  "a rate limit": [problem(429, "TooManyRequests", { "Retry-After": "1" }), "unavailable", "TooManyRequests", /message/],
  "a fault of Dwolla": [problem(502, "UpstreamError"), "unavailable", "UpstreamError", /message/],
  "a forbidden action": [problem(403, "ActionNotAllowed"), "refused", "ActionNotAllowed", /message/],
  "no Customer": [problem(409, "CustomerNotLinked"), "refused", "CustomerNotLinked", /message/],
  "an old sign-in": [problem(403, "ReauthenticationRequired"), "reauthentication-required", "ReauthenticationRequired", /message/],
};

for (const [what, [answer, event, code, message]] of Object.entries(answers)) {
  test(`${what} instead of a token ends in the event ${event}`, async (fixture) => {
    const { page } = fixture;
    await open(fixture);
    service.answers("POST client-tokens", answer);
    const error = await tokenOf(page);
    const details = await eventsOf(page, event);
    assert.equal(details.length, 1);
    assert.equal(details[0].action, "customer.read");
    assert.equal(details[0].code, code);
    assert.match(details[0].message, message);
    assert.deepEqual([error.code, error.message], [code, details[0].message]);
    assert.equal(details[0].requestId ?? null, /^The message/.test(error.message) ? "request-1" : null);
  });
}

test("a token endpoint that hangs ends in an event after 30 seconds", async (fixture) => {
  const { page } = fixture;
  await page.addInitScript(() => {
    const limit = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = (milliseconds) => limit(milliseconds / 100);
  });
  await open(fixture);
  service.answers("POST client-tokens", hang);
  const error = await tokenOf(page);
  assert.deepEqual([error.code, error.message], ["Timeout", `${service.origin}/dropgate/client-tokens did not answer in 30 seconds.`]);
  assert.equal((await eventOf(page, "unavailable")).code, "Timeout");
  assert.equal(service.counted("POST client-tokens"), 1);
});

test("a second attempt that succeeds stays silent", async (fixture) => {
  const { page } = fixture;
  await open(fixture);
  service.answers("POST client-tokens", problem(503, "Unavailable", { "Retry-After": "1" }), json(200, { token: "later" }));
  const began = Date.now();
  assert.deepEqual(await tokenOf(page), { token: "later" });
  assert.ok(Date.now() - began >= 1000, "it did not wait for Retry-After");
  assert.deepEqual(await eventsOf(page, "unavailable"), []);
});

test("the wait for a second attempt is at most five seconds", async (fixture) => {
  const { page } = fixture;
  await open(fixture);
  await pauseClock(page);
  service.answers("POST client-tokens", problem(503, "Unavailable", { "Retry-After": "3600" }));
  const first = page.waitForResponse("**/client-tokens");
  const token = tokenOf(page);
  await (await first).finished();
  await page.clock.runFor(4000);
  assert.equal(service.counted("POST client-tokens"), 1);
  await poll(async () => {
    await page.clock.runFor(1500);
    return service.counted("POST client-tokens") === 2;
  }, () => "a second attempt");
  assert.equal((await token).code, "Unavailable");
  assert.equal((await eventOf(page, "unavailable")).retryAfter, 3600);
});

test("refusals are not repeated", async (fixture) => {
  await open(fixture);
  service.answers("POST client-tokens", problem(403, "ActionNotAllowed"));
  await tokenOf(fixture.page);
  assert.equal(service.counted("POST client-tokens"), 1);
});

test("tokens still come during an outage of the session", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [problem(503, "Unavailable", { "Retry-After": "1" })] });
  assert.equal((await eventOf(page, "unavailable")).code, "Unavailable");
  assert.equal(await page.evaluate(() => dropgate.session().catch(({ code }) => code)), "Unavailable");
  assert.deepEqual(await eventsOf(page, "ready"), []);
  assert.deepEqual(await tokenOf(page), { token: "a-token" });
});

test("the library begins although the session does not answer", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [hang] });
  assert.deepEqual(await tokenOf(page), { token: "a-token" });
});

const created = { resource: "customers", response: { location: "https://api-sandbox.dwolla.com/customers/c-9" } };
const linked = { id: "c-9", href: created.response.location };
const succeed = (page, result) => page.evaluate((result) => configured.at(-1).success(result), result);

test("a link is repeated until it succeeds", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {
    "GET session": [json(200, carol), json(200, alice)],
    "PUT session/customer": [problem(503, "Unavailable", { "Retry-After": "1" }), problem(504, "UpstreamTimeout"), disconnect, json(200, linked)],
  });
  await page.clock.install();
  await succeed(page, created);
  await poll(async () => (await page.clock.runFor(1000), (await eventsOf(page, "linked")).length > 0), () => "linked");
  assert.deepEqual(await eventsOf(page, "linked"), [{ customer: linked }]);
  assert.deepEqual(await eventsOf(page, "link-failed"), []);
  assert.deepEqual(await eventsOf(page, "success"), [{ resource: "customers", location: created.response.location }]);
  const links = service.calls.filter(({ call }) => call === "PUT session/customer");
  assert.deepEqual(links.map(({ body }) => body), Array(4).fill({ href: created.response.location }));
  assert.deepEqual(await page.evaluate(() => dropgate.session()), alice, "the session was not read again");
});

test("a link that fails four times is given up", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [json(200, carol)], "PUT session/customer": [problem(503, "Unavailable", { "Retry-After": "30" })] });
  await page.clock.install();
  await succeed(page, created);
  await poll(async () => (await page.clock.runFor(5000), (await eventsOf(page, "link-failed")).length > 0), () => "link-failed");
  const [{ code, href, requestId }] = await eventsOf(page, "link-failed");
  assert.deepEqual({ code, href, requestId }, { code: "Unavailable", href: created.response.location, requestId: "request-1" });
  assert.equal(service.counted("PUT session/customer"), 4);
  assert.deepEqual(await eventsOf(page, "unavailable"), []);
});

test("a refused link is not repeated", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [json(200, carol)], "PUT session/customer": [problem(403, "CustomerMismatch")] });
  await succeed(page, created);
  assert.equal((await eventOf(page, "link-failed")).code, "CustomerMismatch");
  assert.equal(service.counted("PUT session/customer"), 1);
});

test("a user with a Customer links no other", async (fixture) => {
  const { page } = fixture;
  await open(fixture);
  await succeed(page, created);
  await page.evaluate(() => dropgate.session({ refresh: true }));
  assert.equal(service.counted("PUT session/customer"), 0);
});

test("only a Customer is linked", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [json(200, carol)] });
  for (const response of [
    { location: "https://api-sandbox.dwolla.com/funding-sources/c-9" },
    { location: "https://api-sandbox.dwolla.com/customers/c-9/documents" },
    {},
  ]) {
    await succeed(page, { resource: "others", response });
  }
  await page.evaluate(() => dropgate.session({ refresh: true }));
  assert.equal(service.counted("PUT session/customer"), 0);
  assert.equal((await eventsOf(page, "success")).length, 3);
});

test("Dwolla's errors become the event api-error", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [json(200, carol)] });
  const errors = [{ code: "Invalid", message: "Email is invalid.", path: "/email" }];
  const response = { code: "ValidationError", message: "Validation error(s) present.", _embedded: { errors } };
  await succeed(page, { resource: "customers", response });
  await succeed(page, response); // without the envelope
  const { code, message } = response;
  assert.deepEqual(await eventsOf(page, "api-error"), [
    { code, message, resource: "customers", embedded: errors },
    { code, message, embedded: errors },
  ]);
  assert.deepEqual(await eventsOf(page, "success"), []);
});

test("the library's callbacks reach the page after the events", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, `<script src="/dropgate/dropgate.js"></script>
    <script>
      dropgate.configure({
        environment: "sandbox", styles: "/own.css",
        success: (result) => events.push(["own success", result]), error: (fault) => events.push(["own error", fault]),
        on: { success: ({ resource }, event) => events.push(["on success", { resource, type: event.type }]) },
      });
      stop = dropgate.on("error", ({ message }) => events.push(["on error", message]));
    </script>`);
  assert.deepEqual(await page.evaluate(() => [configured[0].environment, configured[0].styles]), ["sandbox", "/own.css"]);
  await page.evaluate(() => {
    events.length = 0;
    configured[0].success({ resource: "documents", response: {} });
    configured[0].error("a sentence");
    stop();
    configured[0].error(new Error("a fault"));
  });
  assert.deepEqual((await page.evaluate(() => events.map(([name]) => name))), [
    "success", "on success", "own success", "error", "on error", "own error", "error", "own error",
  ]);
  assert.deepEqual(await eventsOf(page, "error"), [{ message: "a sentence" }, { message: "Error: a fault" }]);
});

const elsewhere = await faultyService(); // another origin of the same site

for (const [how, options, header, value] of [
  ["its cookies", "", "cookie", "session=1"],
  ["its access token and no cookies", `, getAccessToken: async () => "mine"`, "authorization", "Bearer mine"],
]) {
  test(`a request to another origin carries ${how}`, async (fixture) => {
    const { page, context, allowHost } = fixture;
    allowHost(elsewhere.host);
    await elsewhere.load(fixture.sandbox);
    await context.addCookies([{ name: "session", value: "1", url: elsewhere.origin }]);
    await open(fixture, {}, `<script src="/dropgate/dropgate.js"></script>
      <script>dropgate.configure({ environment: "sandbox", base: "${elsewhere.origin}/dropgate"${options} })</script>`);
    assert.deepEqual(await tokenOf(page), { token: "a-token" });
    assert.deepEqual(elsewhere.calls.map(({ call }) => call), ["GET session", "POST client-tokens"]);
    for (const { headers } of elsewhere.calls) {
      const { cookie, authorization } = headers;
      assert.deepEqual({ cookie, authorization }, { cookie: undefined, authorization: undefined, [header]: value });
    }
  });
}

test("a failing getAccessToken ends in an event", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, `<script src="/dropgate/dropgate.js"></script>
    <script>dropgate.configure({ environment: "sandbox", getAccessToken: () => { throw new Error("no account"); } })</script>`);
  assert.match((await tokenOf(page)).message, /Error: no account/);
  assert.match((await eventOf(page, "unavailable")).message, /Error: no account/);
  assert.deepEqual(service.calls, []);
});
