// Components inside of React 19 and Vue 3, which create elements late, set properties
// in place of attributes, and move elements.
import assert from "node:assert/strict";

import { buildSync } from "esbuild";

import { browserSuite } from "./harness.js";
import { application, errorOf, event } from "./page.js";

const { test } = browserSuite();

const dave = "44444444-4444-4444-8444-444444444444";
const bob = "22222222-2222-4222-8222-222222222222";
const script = (source) => `<script>${source.replaceAll("</script", "<\\/script")}</script>`;

// bundle packs modules of npm into a script for a page.
function bundle(contents) {
  const { outputFiles } = buildSync({
    stdin: { contents, resolveDir: import.meta.dirname },
    define: { "process.env.NODE_ENV": '"production"', __VUE_OPTIONS_API__: "false", __VUE_PROD_DEVTOOLS__: "false" },
    bundle: true,
    write: false,
  });
  return script(outputFiles[0].text);
}

// Each framework shows one component for the properties in a button's reach: at first
// only what dropgate.js fills in, then another user's Customer, then nothing.
const frameworks = {
  "React 19": () =>
    bundle(`
      import { createElement, useState } from "react";
      import { createRoot } from "react-dom/client";
      function Page() {
        const [shown, show] = useState({});
        const button = (name, props) => createElement("button", { onClick: () => show(props) }, name);
        return createElement("div", null,
          button("Another", { customerId: "${bob}" }), button("Mine", { customerId: "${dave}" }), button("Nothing", null),
          shown && createElement("dwolla-customer-update", shown));
      }
      createRoot(document.querySelector("#app")).render(createElement(Page));`),
  "Vue 3": () =>
    bundle(`
      import { createApp, h, ref } from "vue";
      createApp({
        setup() {
          const shown = ref({});
          const button = (name, props) => h("button", { onClick: () => (shown.value = props) }, name);
          return () => h("div", [
            button("Another", { customerId: "${bob}" }), button("Mine", { customerId: "${dave}" }), button("Nothing", null),
            shown.value && h("dwolla-customer-update", shown.value)]);
        },
      }).mount("#app");`),
};

for (const [name, render] of Object.entries(frameworks)) {
  test(`${name} renders a component and changes its Customer`, async ({ page, show, signIn, asked, shot, expectConsole }) => {
    expectConsole(/status of 403 .*\/dropgate\/client-tokens$/);
    await signIn("dave");
    await show(application('<div id="app"></div>') + render());
    const element = page.locator("dwolla-customer-update");
    await element.locator("#firstNameInput").waitFor();
    await page.getByRole("button", { name: "Another" }).click();
    assert.equal((await event(page, "refused")).code, "CustomerMismatch");
    await errorOf(element).waitFor();
    assert.equal(await element.locator("#firstNameInput").count(), 0);
    await page.getByRole("button", { name: "Mine" }).click();
    await element.locator("#firstNameInput").waitFor();
    await page.getByRole("button", { name: "Nothing" }).click();
    await element.waitFor({ state: "detached" });
    assert.deepEqual(await asked(), [
      "customer.read 200",
      "customer.read 403",
      "customer.read 200",
    ]);
    await shot(name);
  });

  test(`${name} renders before the library arrives`, async ({ page, show, signIn, sandbox }) => {
    await signIn("dave");
    await show(application('<div id="app"></div>', { library: "" }) + render());
    await event(page, "ready");
    await page.getByRole("button", { name: "Mine" }).click();
    await page.addScriptTag({ url: `${sandbox.url}/dwolla-web.js` });
    await page.locator("dwolla-customer-update #firstNameInput").waitFor();
  });
}
