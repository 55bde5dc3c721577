// dropgate.js for users who are signed out, or will be soon.
import assert from "node:assert/strict";

import { alice, faultyService, json, signedOut } from "./faultyservice.js";
import { browserSuite, poll } from "./harness.js";
import { eventOf, eventsOf, script, tokenOf, watchEvents } from "./watchevents.js";

const { test } = browserSuite();
const service = await faultyService();
const component = "<dwolla-balance-display></dwolla-balance-display>";
const byEvent = script.replace(">", ` data-sign-in="event">`);
const loginPage = { body: "<!DOCTYPE html><title>Sign in</title>" };

// open shows a page with the script and a library.
async function open({ page, sandbox, allowHost, expectConsole }, answers = {}, html = script + component, path = "/page") {
  allowHost(service.host);
  expectConsole(/Failed to load resource/);
  await service.load(sandbox);
  service.answers("auth/login", loginPage);
  service.answers("GET auth/login", loginPage);
  for (const [call, all] of Object.entries(answers)) service.answers(call, ...all);
  await watchEvents(page);
  await service.open(page, `<script>dwolla = library</script>${html}`, path);
}

const atLogin = (page) => page.waitForURL("**/dropgate/auth/login?**");
const returnTo = (page) => new URL(page.url()).searchParams.get("return_to");

test("a page with a component signs in and comes back", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [signedOut] }, undefined, "/page?tab=1#top");
  await atLogin(page);
  assert.equal(returnTo(page), "/page?tab=1#top");
  assert.equal(service.counted("GET auth/login"), 1);
});

test("a component that is added later signs in, too", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [signedOut] }, script);
  assert.equal(await eventOf(page, "ready"), null);
  assert.equal(await page.evaluate(() => dropgate.session()), null);
  assert.deepEqual(await eventsOf(page, "signin-required"), []);
  await page.evaluate(() => document.body.append(document.createElement("dwolla-payin")));
  await atLogin(page);
});

test("a sign-in that does not last is not repeated endlessly", async (fixture) => {
  const { page } = fixture;
  const back = { body: `<!DOCTYPE html><script>location.replace(new URLSearchParams(location.search).get("return_to"))</script>` };
  await open(fixture, { "GET session": [signedOut], "GET auth/login": [back] });
  assert.match((await eventOf(page, "error")).message, /^Still signed out/);
  assert.equal(service.counted("GET auth/login"), 1);
  await page.reload();
  await eventOf(page, "error");
  assert.equal(service.counted("GET auth/login"), 1);
});

test("a session in between allows the next sign-in", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [signedOut, json(200, alice), signedOut] });
  await atLogin(page);
  await page.goto(`${service.origin}/page`);
  await eventOf(page, "ready");
  service.answers("POST client-tokens", signedOut);
  await tokenOf(page).catch(() => {}); // the page may go first
  await atLogin(page);
  assert.equal(service.counted("GET auth/login"), 2);
});

test("without storage the page stays", async (fixture) => {
  const { page } = fixture;
  await page.addInitScript(() => {
    const blocked = { get: () => { throw new DOMException("blocked", "SecurityError"); } };
    Object.defineProperty(globalThis, "sessionStorage", blocked);
  });
  await open(fixture, { "GET session": [signedOut] });
  await eventOf(page, "error");
  assert.equal(service.counted("GET auth/login"), 0);
});

test("several refused tokens lead to one sign-in", async (fixture) => {
  const { page } = fixture;
  let goOn;
  const slowly = () => new Promise((done) => (goOn = () => done(loginPage)));
  await open(fixture, { "POST client-tokens": [signedOut], "GET auth/login": [slowly] }, script);
  await page.waitForFunction(() => configured.length > 0);
  const [errors, required] = await page.evaluate(async () => {
    const refused = () => dropgate.token({ action: "customer.read" }).catch(({ code }) => code);
    const errors = await Promise.all(Array.from({ length: 5 }, refused));
    return [errors, events.filter(([name]) => name === "signin-required").length];
  });
  assert.deepEqual(errors, Array(5).fill("Unauthenticated"));
  assert.equal(required, 1);
  goOn();
  await atLogin(page);
  assert.equal(service.counted("GET auth/login"), 1);
});

test("preventDefault keeps the page", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [signedOut] }, `${script}
    <script>dropgate.on("signin-required", (detail, event) => event.preventDefault())</script>${component}`);
  const { loginUrl } = await eventOf(page, "signin-required");
  assert.equal(loginUrl, `${service.origin}/dropgate/auth/login?return_to=%2Fpage`);
  service.answers("POST client-tokens", signedOut);
  assert.equal((await tokenOf(page)).code, "Unauthenticated");
  assert.equal((await eventsOf(page, "signin-required"))[1].requestId, "request-1");
  assert.equal(service.counted("GET auth/login"), 0);
});

test("a page that signs in by itself gets only the event", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [signedOut] }, byEvent + component);
  await eventOf(page, "signin-required");
  await page.waitForFunction(() => configured.length > 0);
  assert.equal(service.counted("GET auth/login"), 0);
  await page.evaluate(() => dropgate.signIn("/elsewhere?x=1"));
  await atLogin(page);
  assert.equal(returnTo(page), "/elsewhere?x=1");
});

test("a page with access tokens gets only the event", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [signedOut] }, `<script src="/dropgate/dropgate.js"></script>
    <script>dropgate.configure({ environment: "sandbox", getAccessToken: () => "old" })</script>${component}`);
  await eventOf(page, "signin-required");
  await page.waitForFunction(() => configured.length > 0);
  assert.equal(service.counted("GET auth/login"), 0);
});

// The real service decides what it accepts.
for (const [what, path, want] of [
  ["quotes and braces", `/page?q='{"a":[1|2]}'#/x'^y\`z|{}`, undefined],
  ["umlauts and spaces", "/pägé?q=ü ä#ö", undefined],
  ["a long query", `/page?q=${"x".repeat(600)}`, "/page"],
]) {
  test(`the service accepts the present page with ${what}`, async (fixture) => {
    const { page, sandbox, expectConsole } = fixture;
    expectConsole(/status of 40[34]/); // the sandbox has no such page
    await page.route(`${sandbox.url}/*`, (route) => route.fulfill({ contentType: "text/html", body: "<!DOCTYPE html>" }));
    await page.goto(sandbox.url + path);
    const shown = page.url();
    await page.addScriptTag({ url: `${sandbox.service}/dropgate.js` });
    await page.evaluate(() => dropgate.signIn());
    await page.getByRole("button", { name: "alice" }).click();
    await page.waitForURL((url) => url.origin === sandbox.url && !url.pathname.includes("/auth/"));
    assert.equal(decodeURIComponent(page.url()), decodeURIComponent(want ? sandbox.url + want : shown));
  });
}

test("signing out ends the session and goes to the provider", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "POST auth/logout": [json(200, { endSessionUrl: `${service.origin}/ended` })] }, script);
  service.pages["/ended"] = "<!DOCTYPE html><title>Ended</title>";
  await eventOf(page, "ready");
  await page.evaluate(() => dropgate.signOut());
  await page.waitForURL("**/ended");
});

test("signing out without such a page stays", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "POST auth/logout": [json(200, {})], "GET session": [json(200, alice), signedOut] }, script);
  await eventOf(page, "ready");
  assert.deepEqual(await page.evaluate(() => dropgate.signOut()), {});
  assert.equal(await page.evaluate(() => dropgate.session()), null);
});

test("only the time of the redirect is stored", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "POST client-tokens": [json(200, { token: "a-token" }), signedOut] });
  await page.waitForFunction(() => configured.length > 0);
  await tokenOf(page);
  const stored = () => page.evaluate(() => [Object.entries(sessionStorage), Object.entries(localStorage), document.cookie]);
  assert.deepEqual(await stored(), [[], [], ""]);
  await tokenOf(page).catch(() => {}); // the page may go first
  await atLogin(page);
  const [[[name, value], ...more], ...others] = await stored();
  assert.equal(name, "dropgateRedirect");
  assert.match(value, /^\d+$/);
  assert.deepEqual([more, others], [[], [[], ""]]);
});

const minutes = 60_000;
const expiring = (after) => json(200, { ...alice, expiresAt: new Date(Date.now() + after).toISOString() });

// openWithClock is open on a machine whose clock the test moves; it is off by `off`.
async function openWithClock(fixture, answers, off = 0) {
  await fixture.page.clock.install({ time: Date.now() + off });
  await open(fixture, answers, script);
  await eventOf(fixture.page, "ready");
}

// pass lets time pass for the page and the service.
async function pass(page, milliseconds) {
  service.clock.ahead += milliseconds;
  await page.clock.fastForward(milliseconds);
}

test("the warning comes two minutes ahead", async (fixture) => {
  const { page } = fixture;
  await openWithClock(fixture, { "GET session": [expiring(30 * minutes)] });
  await pass(page, 27 * minutes);
  assert.deepEqual(await eventsOf(page, "session-expiring"), []);
  await pass(page, 2 * minutes);
  await eventOf(page, "session-expiring");
  assert.equal(service.counted("GET session"), 2, "it did not read the session again");
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await poll(() => service.counted("GET session") === 3, () => "a third look");
  await page.evaluate(() => dropgate.session());
  assert.equal((await eventsOf(page, "session-expiring")).length, 1);
});

test("a clock that is an hour late does not delay the warning", async (fixture) => {
  const { page } = fixture;
  await openWithClock(fixture, { "GET session": [expiring(30 * minutes)] }, -60 * minutes);
  await pass(page, 27 * minutes);
  assert.deepEqual(await eventsOf(page, "session-expiring"), []);
  await pass(page, 2 * minutes);
  await poll(async () => service.counted("GET session") === 2, () => "a second look");
});

test("a session that tokens have extended is not warned of", async (fixture) => {
  const { page } = fixture;
  await openWithClock(fixture, { "GET session": [expiring(10 * minutes), expiring(60 * minutes)] });
  await pass(page, 9 * minutes);
  await poll(() => service.counted("GET session") === 2, () => "a second look");
  await page.evaluate(() => dropgate.session());
  assert.deepEqual(await eventsOf(page, "session-expiring"), []);
});

test("a session of months is not warned of at once", async (fixture) => {
  const { page } = fixture;
  await page.clock.install();
  await page.addInitScript(() => {
    globalThis.delays = [];
    const original = setTimeout;
    globalThis.setTimeout = (call, delay, ...rest) => (delays.push(delay), original(call, delay, ...rest));
  });
  await openWithClock(fixture, { "GET session": [expiring(90 * 24 * 60 * minutes)] });
  assert.equal(await page.evaluate(() => Math.max(...delays)), 2 ** 31 - 1); // browsers take a longer one for 0
  await pass(page, 40 * 24 * 60 * minutes);
  assert.equal(service.counted("GET session"), 1);
  await pass(page, 40 * 24 * 60 * minutes);
  assert.equal(service.counted("GET session"), 1);
  await pass(page, 10 * 24 * 60 * minutes);
  await poll(() => service.counted("GET session") === 2, () => "a second look");
});

test("keepAlive extends the session and sets the next warning", async (fixture) => {
  const { page } = fixture;
  await openWithClock(fixture, { "GET session": [expiring(minutes), expiring(10 * minutes)], "POST session": [expiring(10 * minutes)] });
  await eventOf(page, "session-expiring");
  const kept = await page.evaluate(() => new Promise((resolve) => {
    dropgate.on("session-expiring", ({ keepAlive }) => resolve(keepAlive()));
    document.dispatchEvent(new CustomEvent("dropgate:session-expiring", { detail: { keepAlive: dropgate.keepAlive } }));
  }));
  assert.equal(kept.user.id, "alice");
  assert.equal(service.counted("POST session"), 1);
  await pass(page, 9 * minutes);
  await poll(async () => (await eventsOf(page, "session-expiring")).length === 3, () => "the next warning");
});

test("a page that becomes visible looks at the session", async (fixture) => {
  const { page } = fixture;
  await openWithClock(fixture, { "GET session": [expiring(30 * minutes)] });
  service.clock.ahead = 29 * minutes;
  await page.clock.setSystemTime(Date.now() + 29 * minutes); // the timers have slept
  assert.deepEqual(await eventsOf(page, "session-expiring"), []);
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await eventOf(page, "session-expiring");
});

test("a session that ended in another tab sends nobody away", async (fixture) => {
  const { page } = fixture;
  await openWithClock(fixture, { "GET session": [expiring(10 * minutes), signedOut] });
  await pass(page, 9 * minutes);
  await poll(() => service.counted("GET session") === 2, () => "a second look");
  assert.equal(await page.evaluate(() => dropgate.session()), null);
  assert.equal(service.counted("GET auth/login"), 0);
  assert.deepEqual(await eventsOf(page, "signin-required"), []);
});
