// The samples of docs/integrate.md, as a developer would paste them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { column, sample, samples } from "./guide.js";
import { browserSuite, poll } from "./harness.js";

const { test } = browserSuite();
const modules = new URL("node_modules", import.meta.url).pathname;
const alice = "11111111-1111-4111-8111-111111111111";
const cdn = "https://cdn.dwolla.com/v3.0.0/dwolla-web.js";

// serve answers at /page of the sandbox's origin with html, and for Dwolla's CDN with
// the sandbox's library.
async function serve({ page, context, sandbox, allowHost }, html, headers = {}) {
  allowHost("cdn.dwolla.com");
  // Chromium does not know that this page comes from the machine that it calls.
  await context.grantPermissions(["local-network-access"], { origin: sandbox.url });
  await page.route(cdn, async (route) => route.fulfill({ response: await route.fetch({ url: `${sandbox.url}/dwolla-web.js` }) }));
  await page.route(`${sandbox.url}/page`, (route) => route.fulfill({ contentType: "text/html; charset=utf-8", body: html, headers }));
  await page.route("**/dwolla.css", (route) => route.fulfill({ contentType: "text/css", body: "form { margin: 0 }" }));
  await page.route("**/favicon.ico", (route) => route.fulfill({ contentType: "image/x-icon", body: "" }));
}

const library = `<!DOCTYPE html><script src="${cdn}"></script>`;
const plainScript = '<script src="/dropgate/dropgate.js"></script>';

// packed is a script with a sample and the packages it imports.
async function packed(contents, loader) {
  const { build } = await import("esbuild"); // absent where these tests are skipped
  const { outputFiles } = await build({
    stdin: { contents, loader, resolveDir: modules },
    nodePaths: [modules],
    alias: { vue: `${modules}/vue/dist/vue.esm-bundler.js` },
    define: {
      "process.env.NODE_ENV": '"production"',
      __VUE_OPTIONS_API__: "true",
      __VUE_PROD_DEVTOOLS__: "false",
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
    },
    bundle: true,
    jsx: "automatic",
    write: false,
  });
  return outputFiles[0].text;
}

const isAlices = (element) => poll(async () => (await element.evaluate((e) => e.customerId)) === alice, () => "no customerId");

const policy = (sandbox) =>
  sample("Content Security Policy", "Content-Security-Policy").trim().split(": ")[1]
    .replace("https://api-sandbox.dwolla.com", sandbox.emulator);

test("the complete page signs in and loads a user's documents", async (fixture) => {
  const { page, sandbox, signInByHand, expectConsole } = fixture;
  expectConsole(/status of 401 .*\/dropgate\/session$/);
  expectConsole(/status of 40[34] .*\/page$/); // Playwright does not answer the redirect at the end of a sign-in
  await serve(fixture, sample("Plain HTML", "<!DOCTYPE html>"), { "Content-Security-Policy": policy(sandbox) });
  await page.goto("/page");
  await signInByHand("alice");
  await page.waitForURL(`${sandbox.url}/page`);
  await page.goto("/page");
  const element = page.locator("dwolla-document-upload");
  await isAlices(element);
  await element.locator("#dwolla-info, form").first().waitFor();
});

test("the configuration in JavaScript reports errors of Dwolla", async (fixture) => {
  const { page, signIn } = fixture;
  await serve(fixture, library + sample("Plain HTML", "dropgate.configure") + "<dwolla-balance-display></dwolla-balance-display>");
  await signIn("alice");
  await page.goto("/page");
  await isAlices(page.locator("dwolla-balance-display"));
  await page.evaluate(() => {
    document.dispatchEvent(new CustomEvent("dropgate:api-error", { detail: { message: "Email invalid." } }));
  });
  await page.getByText("Email invalid.").waitFor();
});

test("a new user's component gets the correlationId", async (fixture) => {
  const { page, signIn } = fixture;
  const script = sample("From Dwolla's Express sample", "<script");
  await serve(fixture, library + script + sample("New Customers", "<dwolla-personal-vcr"));
  await signIn("carol");
  await page.goto("/page");
  const element = page.locator("dwolla-personal-vcr");
  await poll(async () => /^dg1\./.test(await element.evaluate((e) => e.correlationId)), () => "no correlationId");
});

// showsTheBalance runs a script that renders a button for signing in, or the balance.
async function showsTheBalance(fixture, script) {
  const { page, signIn, expectConsole } = fixture;
  expectConsole(/status of 401 .*\/dropgate\/session$/);
  const tag = '<script src="/dropgate/dropgate.js" data-environment="sandbox" data-sign-in="event"></script>';
  await serve(fixture, `${library}${tag}<div id="app"></div><script>${script}</script>`);
  await page.goto("/page");
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  await signIn("alice");
  await page.goto("/page");
  await isAlices(page.locator("dwolla-balance-display"));
}

test("the React component shows the balance of its user", async (fixture) => {
  const component = sample("React", "export function Balance");
  const script = await packed(
    `import { createRoot } from "react-dom/client";\n${component}\ncreateRoot(document.querySelector("#app")).render(<Balance />);`,
    "jsx",
  );
  await showsTheBalance(fixture, script);
});

test("the Vue application shows the balance of its user", async (fixture) => {
  await showsTheBalance(fixture, await packed(sample("Vue", "createApp"), "js"));
});

test("an application with its own sign-in sends users there", async (fixture) => {
  const { page, sandbox, expectConsole } = fixture;
  expectConsole(/status of (401|404) .*\/(session|login)$/);
  const tag = '<script src="/dropgate/dropgate.js" data-environment="sandbox" data-sign-in="event"></script>';
  const script = sample("Server-rendered pages", "signin-required");
  await serve(fixture, `${library}${tag}<script>${script}</script><dwolla-balance-display></dwolla-balance-display>`);
  await page.goto("/page");
  await page.waitForURL(`${sandbox.url}/login`);
});

test("the Express route knows the user before it renders", async ({ sandbox, signIn, context }) => {
  const code = sample("Server-rendered pages", "app.get").replace("http://10.42.7.20:8080", sandbox.url);
  const visit = async (cookie) => {
    let answer;
    const app = { get: (path, handle) => (app.handle = handle) };
    new Function("app", code)(app);
    const response = {
      redirect: (to) => (answer = { to }),
      render: (view, data) => (answer = { view, data }),
      status: (status) => ({ send: (body) => (answer = { status, body }) }),
    };
    await app.handle({ headers: { cookie }, ip: "127.0.0.3" }, response);
    return answer;
  };
  assert.deepEqual(await visit(undefined), { to: "/dropgate/auth/login?return_to=/documents" });
  await signIn("alice");
  const cookie = (await context.cookies(sandbox.url)).map(({ name, value }) => `${name}=${value}`).join("; ");
  assert.deepEqual(await visit(cookie), { view: "documents", data: { customerId: alice } });
});

test("the script of another origin calls dropgate there", async (fixture) => {
  const { page, sandbox, allowHost } = fixture;
  allowHost("pay.example.com");
  await page.route("https://pay.example.com/dropgate.js", async (route) =>
    route.fulfill({ response: await route.fetch({ url: `${sandbox.service}/dropgate.js` }) }));
  const asked = page.waitForRequest("https://pay.example.com/session");
  await page.route("https://pay.example.com/session", (route) =>
    route.fulfill({
      json: { user: { id: "alice" }, customer: { id: alice, href: `${sandbox.emulator}/customers/${alice}` } },
      headers: { "Access-Control-Allow-Origin": sandbox.url, "Access-Control-Allow-Credentials": "true" },
    }));
  await serve(fixture, `<!DOCTYPE html>${sample("Another origin", "pay.example.com")}<dwolla-balance-display></dwolla-balance-display>`);
  await page.goto("/page");
  await asked;
  await poll(async () => (await page.locator("dwolla-balance-display").getAttribute("customerId")) === alice, () => "no customerId");
});

test("an access token replaces the cookie", async (fixture) => {
  const { page, sandbox } = fixture;
  const token = await (await fetch(`${sandbox.issuer}/token?user=alice`)).text();
  const script = `const auth = { getAccessToken: async () => ${JSON.stringify(token.trim())} };\n${sample("With an access token", "getAccessToken")}`;
  await serve(fixture, `${library}${plainScript}<dwolla-balance-display></dwolla-balance-display><script>${script}</script>`);
  const asked = page.waitForRequest(/\/client-tokens$/);
  await page.goto("/page");
  const request = await asked;
  const headers = await request.allHeaders();
  assert.equal(headers.authorization, `Bearer ${token.trim()}`);
  assert.equal(headers.cookie, undefined);
  assert.equal((await request.response()).status(), 200);
});

test("a refusal reaches the page with its request id", async (fixture) => {
  const { page, signIn, expectConsole } = fixture;
  expectConsole(/status of 403 .*\/client-tokens$/);
  const tag = '<script src="/dropgate/dropgate.js" data-environment="sandbox"></script>';
  const script = `<script>${sample("When something fails", "refused")}</script>`;
  await serve(fixture,
    `${library}${tag}<p id="problem"></p>${script}<dwolla-balance-display customerId="99999999-9999-4999-8999-999999999999"></dwolla-balance-display>`);
  await signIn("alice");
  await page.goto("/page");
  await page.getByText(/does not belong to the signed-in user\. \(Request [A-Z2-7]{26}\)/).first().waitFor();
});

test("a page may keep its own configuration of the library", async (fixture) => {
  const { page, signIn } = fixture;
  const script = `<script>${sample("From a function for `tokenUrl` or `token`", "dropgate.token")}</script>`;
  await serve(fixture, `${library}${plainScript}${script}<dwolla-balance-display customerId="${alice}"></dwolla-balance-display>`);
  const asked = page.waitForResponse(/\/client-tokens$/);
  await signIn("alice");
  await page.goto("/page");
  assert.equal((await asked).status(), 200);
});

test("every sample of the guide is valid and used", async () => {
  const { transform } = await import("esbuild");
  for (const { language, code } of samples) {
    if (["js", "jsx"].includes(language)) await transform(code, { loader: language, jsx: "automatic" });
  }
  const unused = samples.filter(({ language, before, isUsed }) =>
    ["js", "jsx", "html"].includes(language) && !isUsed && !before.startsWith("Before, "));
  assert.deepEqual(unused.map(({ code }) => code), []);
});

test("the guide names every option and event of dropgate.js", async () => {
  const types = readFileSync(new URL("../api/dropgate.d.ts", import.meta.url), "utf8");
  const members = (name) => {
    const body = types.split(`interface ${name} {\n`)[1].split(/^ {2}}$/m)[0];
    return [...body.matchAll(/^ {4}"?([a-zA-Z-]+)"?\??:/gm)].map(([, member]) => member).sort();
  };
  assert.deepEqual(column("Plain HTML").sort(), members("Options"));
  assert.deepEqual(column("When something fails").sort(), members("Events"));
});
