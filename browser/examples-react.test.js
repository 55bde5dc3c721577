// The React example as a person uses it: on another origin than dropgate.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { send } from "./forms.js";
import { browserSuite, poll } from "./harness.js";
import { site } from "./site.js";

const example = new URL("../examples/react/", import.meta.url);
const server = await site();
const { test } = browserSuite({ args: ["-env", `ALLOWED_ORIGINS=${server.origin}`], hosts: [server.host] });

// serve builds the example as `npm start` does, for the ports of this test.
async function serve(sandbox) {
  const { build } = await import("esbuild"); // absent where these tests are skipped
  const { outputFiles } = await build({
    entryPoints: [new URL("main.jsx", example).pathname],
    bundle: true,
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"development"' },
    nodePaths: [new URL("node_modules", import.meta.url).pathname],
    write: false,
  });
  const file = (name) => readFile(new URL(`public/${name}`, example), "utf8");
  const page = await file("index.html");
  assert.ok(page.includes("http://127.0.0.1:8080/"), "the page names the sandbox's usual address");
  Object.assign(server.pages, {
    "/": page.replaceAll("http://127.0.0.1:8080", sandbox.url),
    "/page.css": { type: "text/css", body: await file("page.css") },
    "/components.css": { type: "text/css", body: await file("components.css") },
    "/bundle.js": { type: "text/javascript", body: outputFiles[0].text },
    "/favicon.ico": { type: "image/x-icon", body: "" },
  });
}

async function open({ page, sandbox, signInByHand }, user) {
  await serve(sandbox);
  await page.goto(`${server.origin}/`);
  await page.getByRole("button", { name: "Sign in" }).click();
  await signInByHand(user);
  await page.waitForURL(`${server.origin}/`);
  await page.getByText("Signed in as").waitFor();
}

test("the React example creates a Customer and links it", async (fixture) => {
  const { page, shot, expectConsole } = fixture;
  expectConsole(/status of 401 .*\/dropgate\/session$/); // before the sign-in
  await open(fixture, "carol");
  const linked = page.evaluate(() => new Promise((resolve) => window.dropgate.on("linked", resolve)));
  const creating = page.locator("dwolla-personal-vcr");
  await send(creating, { firstNameInput: "document" }); // Dwolla's sandbox then wants a document
  const { customer } = await linked;
  await creating.locator("input[type=file]").waitFor();
  await send(creating); // the same element goes on with the linked Customer
  await creating.locator("#dwolla-success").waitFor();
  await shot("created");
  await page.getByRole("button", { name: "Continue" }).click();
  const next = page.locator("dwolla-document-upload, dwolla-balance-display");
  assert.equal(await next.evaluate((element) => element.customerId), customer.id);
  const session = await page.evaluate(() => window.dropgate.session({ refresh: true }));
  assert.equal(session.customer.id, customer.id);
});

test("the React example shows why a request was refused", async (fixture) => {
  const { page, expectConsole } = fixture;
  expectConsole(/status of 40[13] /);
  await open(fixture, "alice");
  await page.locator("dwolla-balance-display").waitFor();
  await page.evaluate(() => {
    const foreign = document.createElement("dwolla-balance-display");
    foreign.setAttribute("customerId", "99999999-9999-4999-8999-999999999999");
    document.body.append(foreign);
  });
  const alert = page.locator("main > [role=alert]");
  await alert.waitFor();
  await poll(async () => /does not belong to the signed-in user\. \(Request [A-Z2-7]{26}\)/.test(await alert.textContent()),
    () => "the page shows another fault");
});
