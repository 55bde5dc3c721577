// Every component's whole work on its tab of the demo page. The token inspector, which
// shows the service's own audit trail, says which actions were vended, and in which order.
import assert from "node:assert/strict";

import { inspected, openTab } from "./demo.js";
import { send } from "./forms.js";
import { browserSuite } from "./harness.js";
import { errorOf, successOf } from "./page.js";

const { test } = browserSuite();

// component makes a test of one tab. work does what a user does, and returns the actions
// that the component needs.
function component(tab, what, user, work) {
  test(`${tab} ${what}`, async (given) => {
    const { page, sandbox, signIn, newUser, setPolicy, shot } = given;
    const name = user === "new" ? await newUser() : user;
    await setPolicy(name, "all");
    await signIn(name);
    const element = await openTab(page, sandbox, tab);
    const actions = await work({ ...given, element, user: name });
    const wanted = actions.map((action) => `${action} vended`);
    assert.deepEqual(await inspected(page, name, wanted.length), wanted);
    await shot(`${tab} ${what}`);
  });
}

// hasOwn waits until the page says which Customer is the user's own.
async function hasOwn({ page, sandbox, context }) {
  await page.locator("#page-event").getByText("is the user’s own now").waitFor();
  const session = await (await context.request.get(`${sandbox.service}/session`)).json();
  assert.ok(session.customer?.id);
}

component("customer-create", "creates a Customer that becomes the user's own", "new", async (given) => {
  await send(given.element);
  await successOf(given.element).getByText("Your account has been created.").waitFor();
  await hasOwn(given);
  return ["customer.create"];
});

component("customer-update", "upgrades an unverified Customer", "dave", async ({ element }) => {
  await send(element);
  await successOf(element).getByText("Your account has been upgraded.").waitFor();
  return ["customer.read", "customer.update"];
});

component("personal-vcr", "creates a Customer in mid-flow and goes on with it", "new", async (given) => {
  const { element } = given;
  await send(element);
  await successOf(element).getByText("You are verified.").waitFor();
  await hasOwn(given);
  return ["customer.create", "customer.read"];
});

component("personal-vcr", "asks once more, and then for a document", "new", async ({ element }) => {
  await send(element, { firstNameInput: "retry" });
  await element.getByText("Please check all of them once more.").waitFor();
  await send(element, { ssn: "123-45-6789" });
  await element.locator("#file").waitFor();
  await send(element);
  await successOf(element).getByText("Your document has been received.").waitFor();
  return ["customer.create", "customer.read", "customer.update", "customer.documents.create"];
});

component("business-vcr", "creates a business in three pages", "new", async (given) => {
  const { element } = given;
  await element.locator("#dwolla-initial-info-submit").waitFor();
  await send(element, { businessType: "llc" });
  await element.locator("#dwolla-business-info-submit").waitFor();
  await send(element);
  await element.locator("#dwolla-business-vcr-submit").waitFor();
  await send(element);
  await successOf(element).getByText("You are verified.").waitFor();
  await hasOwn(given);
  return ["businessclassifications.read", "customer.create", "customer.read"];
});

component("beneficial-owners", "adds, proves and deletes owners, and certifies", "bob", async ({ element, page }) => {
  const add = element.locator("#add-owner-document");
  const done = (text) => element.getByText(text).waitFor();
  await add.click();
  await send(element, { firstNameInputBO: "Document", lastNameInputBO: "Otto" });
  await done("The owner has been added.");
  await element.getByRole("button", { name: "Upload Document Otto" }).click();
  await send(element);
  await done("The document has been received.");
  await element.getByRole("button", { name: "Delete Document Otto" }).click();
  await send(element);
  await done("The owner has been deleted.");
  await add.click();
  await send(element, { firstNameInputBO: "Incomplete", lastNameInputBO: "Ina" });
  await done("The owner has been added.");
  await element.getByRole("button", { name: "Edit Incomplete Ina" }).click();
  await send(element, { firstNameInputBO: "Ina", lastNameInputBO: "Now" });
  await done("The owner has been changed.");
  await element.locator("#hasOwners-certify-submit").waitFor();
  await send(element);
  await successOf(element).getByText("The owners of this business are certified.").waitFor();
  const reread = "beneficialowners.read";
  return [
    "beneficialownership.read",
    "customer.read",
    reread,
    ...["create", "documents", "delete", "create", "update"].flatMap((what) => [
      what === "documents" ? "beneficialowner.documents.create" : `beneficialowners.${what}`,
      reread,
    ]),
    "beneficialownership.certify",
  ];
});

component("document-upload", "sends a document", "erin", async ({ element }) => {
  await send(element, { documentType: "passport" });
  await successOf(element).getByText("Your document has been received.").waitFor();
  return ["customer.read", "customer.documents.read", "customer.documents.create"];
});

component("funding-source-create", "adds a bank and starts its deposits", "alice", async ({ element }) => {
  await send(element);
  await successOf(element).getByText("Two small deposits are on their way to it.").waitFor();
  return ["customer.fundingsources.create", "customer.microdeposits.create"];
});

component("micro-deposits-verify", "refuses wrong amounts and takes the right ones", "alice", async ({ element, expectConsole }) => {
  expectConsole(/status of 400 .*\/micro-deposits$/);
  await send(element, { amount1: "0.09", amount2: "0.09" });
  await errorOf(element).waitFor();
  await send(element, { amount1: "0.03", amount2: "0.09" });
  await successOf(element).getByText("Your bank account is verified.").waitFor();
  return ["customer.fundingsources.read", "customer.microdeposits.verify", "customer.microdeposits.verify"];
});

component("balance-display", "shows the balance", "alice", async ({ element }) => {
  await element.locator("#dwolla-balance").getByText("$").waitFor();
  return ["customer.fundingsources.read"];
});

component("payin", "lists the banks and ends before the transfer", "alice", async ({ element }) => {
  await element.getByText("Alice's checking").waitFor();
  await element.getByText("No money moves here.").waitFor();
  return ["customer.fundingsources.read"];
});

test("account-opening says that it is not part of the stand-in", async ({ page, sandbox, signIn, asked }) => {
  await signIn("alice");
  const element = await openTab(page, sandbox, "account-opening");
  await element.getByText("Account opening is not part of this stand-in.").waitFor();
  assert.deepEqual(await asked(), []);
});
