// The demo page of the sandbox, as its tests see it.

// openTab shows the tab of a component, such as payin, and returns the component.
export async function openTab(page, sandbox, name) {
  await page.goto(`${sandbox.url}/?tab=${name}`);
  await page.locator("#stream").getByText("live").waitFor();
  return page.locator(`#panel-${name} dwolla-${name}`);
}

// inspected waits until the token inspector shows count requests for tokens by user since
// the user's last sign-in. It returns all of them as "ACTION OUTCOME", oldest first.
export async function inspected(page, user, count) {
  const handle = await page.waitForFunction(
    ({ name, wanted }) => {
      const rows = [...document.querySelectorAll("#inspector tbody tr")].filter((row) =>
        row.cells[0].querySelector("small").textContent.split(" · ").includes(name),
      );
      const signIn = rows.findIndex(({ dataset }) => dataset.outcome === "signed_in");
      const asked = rows.slice(0, signIn).filter(({ dataset }) => dataset.action);
      return signIn >= 0 && asked.length >= wanted && asked.map(({ dataset }) => `${dataset.action} ${dataset.outcome}`).reverse();
    },
    { name: user, wanted: count },
  );
  return handle.jsonValue();
}
