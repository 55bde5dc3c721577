// How dropgate.js sets up the library and the elements of a page.
import assert from "node:assert/strict";

import { alice, carol, faultyService, json, problem } from "./faultyservice.js";
import { browserSuite, poll } from "./harness.js";
import { pauseClock } from "./page.js";
import { eventOf, eventsOf, script, watchEvents } from "./watchevents.js";

const { test } = browserSuite();
const service = await faultyService();
const elsewhere = await faultyService();
const library = `<script>dwolla = library</script>`;

async function open({ page, sandbox, allowHost, expectConsole }, answers = {}, html = script) {
  allowHost(service.host);
  allowHost(elsewhere.host);
  expectConsole(/Failed to load resource/);
  await service.load(sandbox);
  await elsewhere.load(sandbox);
  for (const [call, all] of Object.entries(answers)) service.answers(call, ...all);
  await watchEvents(page);
  await service.open(page, html);
}

// ids returns the ids of all components: "CUSTOMER CORRELATION".
const ids = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("main *")].map((e) => `${e.getAttribute("customerId")} ${e.getAttribute("correlationId")}`),
  );

for (const [when, html] of Object.entries({
  before: library + script,
  after: script + library,
  "after the script as a module": `<script type="module">import { configure } from "/dropgate/dropgate.mjs"; configure({ environment: "sandbox" })</script>${library}`,
})) {
  test(`the library may arrive ${when}`, async (fixture) => {
    const { page } = fixture;
    await open(fixture, {}, html);
    await page.waitForFunction(() => configured.length > 0);
    const options = await page.evaluate(() => configured.map(({ environment, token }) => [environment, typeof token]));
    assert.deepEqual(options, [["sandbox", "function"]]);
    assert.deepEqual(await eventOf(page, "ready"), alice);
  });
}

test("a library that is late is missed once, and set up then", async (fixture) => {
  const { page } = fixture;
  await pauseClock(page);
  await open(fixture);
  await eventOf(page, "ready");
  await page.clock.runFor(9000);
  assert.deepEqual(await eventsOf(page, "library-missing"), []);
  await page.clock.runFor(30_000);
  assert.deepEqual(await eventsOf(page, "library-missing"), [{ after: 10 }]);
  await page.evaluate(() => void (globalThis.dwolla = library));
  await page.clock.runFor(1000);
  await page.waitForFunction(() => configured.length === 1);
});

test("a second script tag changes nothing", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, script + script + library);
  await page.waitForFunction(() => configured.length > 0);
  assert.equal((await eventsOf(page, "ready")).length, 1);
  assert.equal(service.counted("GET session"), 1);
});

test("configure may be called again", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, script + library);
  await page.waitForFunction(() => configured.length > 0);
  await page.evaluate(() => dropgate.configure({ styles: "/later.css" }));
  const options = await page.evaluate(() => configured.map(({ environment, styles }) => [environment, styles ?? null]));
  assert.deepEqual(options, [["sandbox", null], ["sandbox", "/later.css"]]);
});

test("elements get the customerId that they lack", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, `${script}<main>
    <dwolla-customer-update></dwolla-customer-update>
    <dwolla-personal-vcr></dwolla-personal-vcr>
    <dwolla-balance-display customerId=""></dwolla-balance-display>
    <dwolla-balance-display customerId="own"></dwolla-balance-display>
    <p></p></main>`);
  await poll(async () => (await ids(page))[0] !== "null null", () => "the first element has no customerId");
  assert.deepEqual(await ids(page), ["c-1 null", "c-1 null", "c-1 null", "own null", "null null"]);
});

test("elements that are added later get it, too", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, `${script}<main></main>`);
  await eventOf(page, "ready");
  await page.evaluate(() => {
    const main = document.querySelector("main");
    const inside = document.createElement("section");
    inside.append(document.createElement("dwolla-payin"));
    const own = Object.assign(document.createElement("dwolla-payin"), { customerId: "own" }); // as React does
    main.append(inside, own);
  });
  await poll(async () => (await ids(page))[1] !== "null null", () => "the later element has no customerId");
  assert.deepEqual(await ids(page), ["null null", "c-1 null", "null null"]);
  assert.equal(service.counted("GET session"), 1);
});

test("an element that creates a Customer is never changed", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [json(200, carol), json(200, alice)] }, `${script}<main>
    <dwolla-customer-create></dwolla-customer-create>
    <dwolla-personal-vcr></dwolla-personal-vcr>
    <dwolla-business-vcr correlationId="own"></dwolla-business-vcr>
    <dwolla-funding-source-create></dwolla-funding-source-create></main>`);
  await poll(async () => (await ids(page))[0] !== "null null", () => "the first element has no correlationId");
  assert.deepEqual(await ids(page), ["null dg1.carol", "null dg1.carol", "null own", "null null"]);
  await page.evaluate(() => dropgate.session({ refresh: true }));
  assert.deepEqual(await ids(page), ["null dg1.carol", "null dg1.carol", "null own", "c-1 null"]);
});

test("the library begins after the elements have their ids", async (fixture) => {
  const { page } = fixture;
  const slowly = () => new Promise((done) => setTimeout(done, 500, json(200, alice)));
  await open(fixture, { "GET session": [slowly] }, `${script}<main><dwolla-payin></dwolla-payin></main>
    <script>dwolla = { configure: () => { found = document.querySelector("dwolla-payin").getAttribute("customerId"); } }</script>`);
  await page.waitForFunction(() => "found" in globalThis);
  assert.equal(await page.evaluate(() => found), "c-1");
});

test("the latest answer about the session counts", async (fixture) => {
  const { page } = fixture;
  let goOn;
  const slowly = () => new Promise((done) => (goOn = () => done(json(200, carol))));
  await open(fixture, { "GET session": [json(200, carol), slowly, json(200, alice)] });
  await eventOf(page, "ready");
  await page.evaluate(() => void (older = dropgate.session({ refresh: true })));
  await poll(() => goOn, () => "the slow request");
  await page.evaluate(() => dropgate.session({ refresh: true }));
  assert.equal(await page.evaluate(() => dropgate.session().then(({ user }) => user.id)), "alice");
  // With the browser's cache, the newer request waits up to 20 seconds for the older one.
  assert.equal(service.calls.at(-1).headers["cache-control"], "no-cache");
  goOn();
  await page.evaluate(() => older);
  assert.deepEqual(await page.evaluate(() => dropgate.session()), alice);
});

test("the script and the module are one", async (fixture) => {
  const { page } = fixture;
  await open(fixture, {}, script);
  assert.deepEqual(
    await page.evaluate(async () => {
      const module = await import("/dropgate/dropgate.mjs");
      return [module.default === dropgate, Object.keys(dropgate).filter((name) => name !== "base" && module[name] !== dropgate[name])];
    }),
    [true, []],
  );
});

for (const [form, load] of [
  ["script", (origin) => `<script src="${origin}/dropgate/dropgate.js"></script>`],
  ["module", (origin) => `<script type="module">import "${origin}/dropgate/dropgate.mjs"</script>`],
]) {
  test(`a ${form} from another origin calls that origin`, async (fixture) => {
    const { page } = fixture;
    await open(fixture, {}, load(elsewhere.origin));
    await page.waitForFunction(() => globalThis.dropgate?.base);
    assert.equal(await page.evaluate(() => dropgate.base), `${elsewhere.origin}/dropgate/`);
    assert.deepEqual(await page.evaluate(() => dropgate.session()), alice);
    assert.equal(elsewhere.counted("GET session"), 1);
    assert.equal(service.counted("GET session"), 0);
  });

  test(`the real service lets every origin load the ${form}`, async (fixture) => {
    const { page, sandbox, expectConsole } = fixture;
    expectConsole(/blocked by CORS policy/);
    await open(fixture, {}, load(sandbox.service.replace(/\/dropgate$/, "")));
    await page.waitForFunction(() => globalThis.dropgate?.base);
    const refused = await page.evaluate(() => dropgate.session().catch(({ code }) => code));
    assert.equal(refused, "NetworkError", "an origin that is not allowed read the session");
  });
}

test("markup cannot point the script at another service", async (fixture) => {
  const { page } = fixture;
  const trap = `${elsewhere.origin}/dropgate/dropgate.js`;
  await open(fixture, {}, `<base href="${elsewhere.origin}/x/">
    <img name="currentScript" src="${trap}" data-environment="sandbox" data-base="${elsewhere.origin}/dropgate">
    <form id="dropgate"><input name="on"></form>
    <script src="${service.origin}/dropgate/dropgate.js"></script>`);
  await page.evaluate(() => dropgate.configure({ base: "dropgate" }));
  assert.deepEqual(await page.evaluate(() => dropgate.session()), alice);
  assert.deepEqual(elsewhere.calls, []);
});

test("nothing leaves the page but the calls that it needs", async (fixture) => {
  const { page, requests } = fixture;
  await open(fixture, {}, `${script}${library}<main><dwolla-payin></dwolla-payin></main>`);
  await page.waitForFunction(() => configured.length > 0);
  await page.evaluate(() => dropgate.token({ action: "customer.read" }));
  const paths = requests.map((request) => `${request.method()} ${new URL(request.url()).pathname}`).filter((path) => !path.includes("favicon"));
  assert.deepEqual(paths, ["GET /page", "GET /dropgate/dropgate.js", "GET /dropgate/session", "POST /dropgate/client-tokens"]);
});

test("an answer that is not a session is none", async (fixture) => {
  const { page } = fixture;
  await open(fixture, { "GET session": [json(200, { unknown: true }), problem(403, "CrossOriginRequest")] });
  assert.equal((await eventOf(page, "unavailable")).code, "InvalidResponse");
  assert.equal(await page.evaluate(() => dropgate.session().catch(({ code }) => code)), "CrossOriginRequest");
  assert.equal((await eventOf(page, "refused")).code, "CrossOriginRequest");
});
