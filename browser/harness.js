// The harness of the browser tests: one sandbox and one Chromium for each file,
// one browser context for each test. It never reaches a host outside of this
// machine, and never downloads a browser.
import { accessSync, constants, mkdirSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { after, before, test as nodeTest } from "node:test";

import { findLeaks } from "./leaks.js";
import { start } from "./sandbox.js";

const screenshots = new URL("screenshots/", import.meta.url).pathname;
// Waiting ends when the condition holds. The limit is only for a busy machine.
const patience = 60_000;
const testPatience = 300_000;

const playwright = await import("playwright-core").catch(() => null);
const chromium = process.env.CHROMIUM || onPath("chromium") || onPath("chromium-browser") || onPath("google-chrome");

function onPath(name) {
  return (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

// missing names what this machine lacks, or is undefined.
function missing() {
  if (!playwright) return "playwright-core is not installed: run `npm ci` in browser/";
  if (!chromium) return "there is no Chromium: install it, or set CHROMIUM to its path";
  return undefined;
}

// browserSuite prepares the tests of one file. Its options:
//   args, providerHost  for the sandbox (see sandbox.js)
//   hosts    hosts, such as 127.0.0.1:1234, that pages may also reach
//   context  options of every browser context (see Playwright's newContext)
// Call its test(name, body). body receives a fixture, described at `fixture`.
export function browserSuite({ args, providerHost, hosts = [], context: contextOptions = {} } = {}) {
  const lacking = missing();
  const ci = process.env.CI === "true";
  const shared = {};

  before(async () => {
    if (lacking) return;
    shared.sandbox = await start({ args, providerHost });
    shared.browser = await playwright.chromium.launch({
      executablePath: chromium,
      // No name but these resolves, so that no request can leave the machine.
      args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
    });
  });
  after(async () => {
    await shared.browser?.close();
    await shared.sandbox?.stop();
  });

  function test(name, body, options = {}) {
    nodeTest(name, { timeout: testPatience, ...options, skip: !ci && lacking }, async (t) => {
      if (lacking) throw new Error(lacking);
      const context = await shared.browser.newContext({
        baseURL: shared.sandbox.url,
        reducedMotion: "reduce",
        ...contextOptions,
        ...options.context,
      });
      context.setDefaultTimeout(patience);
      const watch = watchContext(context, shared.sandbox, hosts);
      try {
        await body(await fixture({ t, context, watch, ...shared }));
        watch.faults.push(...(await findLeaks({ context, ...watch })));
        watch.check();
      } catch (error) {
        await explain(t, context, shared.sandbox, watch);
        throw error;
      } finally {
        await context.close();
      }
    });
  }
  return { test };
}

// fixture is what a test receives:
//   t, context, sandbox, browser
//   page               a first tab
//   show(html, page?)  shows a page of the sandbox's own origin with this body
//   expectConsole(re)  announces console errors; re is matched with "TEXT URL"
//   allowHost(host)    announces requests to a host
//   faults()           what would fail this test so far
//   leaks()            secrets that the pages keep, as a sentence each
//   requests           every request so far (Playwright's Request)
//   consoleLines       every console message so far
//   asked()            "ACTION STATUS" of every request for a client token so far
//   audit()            the audit entries of the service so far
//   newUser()          makes a user without a Customer
//   setPolicy(user, policy), setFault(fault)  turn the sandbox's switches
//   shot(name, page?)  takes a screenshot
//   signIn(user)       gives the context a session, and returns GET /session's answer
//   signInByHand(user, page?)  presses the button on the provider's login page
async function fixture({ t, context, sandbox, browser, watch }) {
  const page = await context.newPage();
  return {
    t,
    context,
    sandbox,
    browser,
    page,
    show: (html, shown = page) => show(shown, sandbox, html),
    requests: watch.requests,
    asked: () => asked(watch.requests),
    audit: () => audit(sandbox.log()),
    newUser: () => demo(sandbox, "new-user").then(({ user }) => user),
    setPolicy: (user, policy) => demo(sandbox, "policy", { user, policy }),
    setFault: (fault) => demo(sandbox, "fault", { fault }),
    consoleLines: watch.consoleLines,
    expectConsole: (pattern) => watch.announced.push(pattern),
    allowHost: (host) => watch.hosts.add(host),
    faults: watch.unannounced,
    leaks: () => findLeaks({ context, ...watch }),
    shot: (name, shown = page) => shoot(shown, name),
    signIn: async (user) => {
      const session = await signIn(context, sandbox, user);
      watch.cookiesSeen.push(...(await context.cookies()));
      return session;
    },
    signInByHand: (user, tab = page) => signInByHand(tab, user),
  };
}

// watchContext collects what the pages of a context do. check fails on an
// unannounced console error, a page error, or a request to a foreign host.
function watchContext(context, sandbox, hosts) {
  const faults = [];
  const requests = [];
  const consoleLines = [];
  const cookiesSeen = [];
  const announced = [/status of 404 .*\/favicon\.ico$/]; // browsers ask for it by themselves
  const own = [sandbox.url, sandbox.emulator, sandbox.issuer].map((url) => new URL(url).host);
  const allowed = new Set([...own, ...hosts]);
  context.on("console", (message) => {
    const line = `${message.text()} ${message.location().url}`;
    consoleLines.push(line);
    if (message.type() === "error") faults.push(`console error: ${line}`);
  });
  context.on("weberror", (error) => faults.push(`page error: ${error.error()?.stack}`));
  const visit = (address) => {
    const url = new URL(address);
    if (url.host && !allowed.has(url.host)) faults.push(`request to another host: ${address}`);
  };
  context.on("request", (request) => {
    requests.push(request);
    visit(request.url());
  });
  context.on("page", (page) => page.on("websocket", (socket) => visit(socket.url())));
  const unannounced = () => faults.filter((fault) => !announced.some((pattern) => pattern.test(fault)));
  const check = () => {
    const found = unannounced();
    if (found.length > 0) throw new Error(found.join("\n"));
  };
  return { check, unannounced, faults, announced, requests, consoleLines, cookiesSeen, hosts: allowed };
}

// explain adds to a failed test what its pages and the sandbox did last.
async function explain(t, context, sandbox, watch) {
  for (const [i, page] of context.pages().entries()) {
    t.diagnostic(`tab ${i + 1} was at ${page.url()}`);
    await shoot(page, `failed ${t.name} ${i + 1}`).catch((error) => t.diagnostic(`no screenshot: ${error}`));
  }
  for (const fault of watch.unannounced()) t.diagnostic(fault);
  const lines = sandbox.log().split("\n").filter((line) => /^(info|warn|error|audit) /.test(line));
  t.diagnostic(`the service's log ends with:\n${lines.slice(-8).join("\n")}`);
}

// poll waits until condition() holds, and fails with what() at the limit. Prefer
// Playwright's own waiting where a page shows the condition.
export async function poll(condition, what, { every = 25, within = patience } = {}) {
  const end = Date.now() + within;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`it did not happen in time: ${what()}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

// show serves the page from the test, so that a test has its page beside its checks.
async function show(page, sandbox, html) {
  const at = `${sandbox.url}/test-page`;
  const body = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Test</title>\n${html}</html>`;
  // Chromium does not know that this page comes from the machine that it calls.
  await page.context().grantPermissions(["local-network-access"], { origin: sandbox.url });
  await page.unroute(at);
  await page.route(at, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body }));
  await page.goto(at);
}

async function asked(requests) {
  const vends = requests.filter((request) => request.method() === "POST" && request.url().endsWith("/client-tokens"));
  return Promise.all(
    vends.map(async (request) => `${request.postDataJSON().action} ${(await request.response())?.status() ?? "none"}`),
  );
}

// audit reads the audit entries in the sandbox's log.
function audit(log) {
  const lines = log.split("\n").filter((line) => line.startsWith("audit "));
  return lines.map((line) =>
    Object.fromEntries([...line.matchAll(/ ([a-z0-9_]+)=("(?:[^"\\]|\\.)*"|\S*)/g)].map(([, name, value]) => [name, value])),
  );
}

// demo uses the API of the demo page.
async function demo(sandbox, what, body = {}) {
  const answer = await fetch(`${sandbox.url}/demo/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function shoot(page, name) {
  mkdirSync(screenshots, { recursive: true });
  await page.evaluate(() => scrollTo(0, 0)); // or what sticks to the top covers the middle
  const file = `${basename(process.argv[1], ".test.js")}-${name}`.replace(/[^A-Za-z0-9]+/g, "-");
  await page.screenshot({ path: join(screenshots, `${file}.png`), fullPage: true });
}

// signIn gives the context a session without showing a page.
async function signIn(context, sandbox, user) {
  const login = `${sandbox.service}/auth/login?return_to=/`;
  const query = new URLSearchParams({ user, then: login });
  let answer = await context.request.get(`${sandbox.issuer}/login-as?${query}`);
  // The callback answers with a page that loads it again.
  if (new URL(answer.url()).pathname.endsWith("/auth/callback")) answer = await context.request.get(answer.url());
  const session = await context.request.get(`${sandbox.service}/session`);
  if (!session.ok()) throw new Error(`${user} is not signed in: ${answer.status()} from ${answer.url()}`);
  return session.json();
}

// signInByHand signs a tab in as a person does, from wherever the provider shows its
// login page.
async function signInByHand(page, user) {
  await page.getByRole("button", { name: `Sign in as ${user}` }).click();
}
