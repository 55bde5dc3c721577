// Dwolla's own SDK for TypeScript, which nobody here wrote, talks to the emulator. The
// SDK validates each answer.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Dwolla } from "dwolla";
import { start } from "./emulator.js";

const address = { address1: "99-99 33rd St", city: "Some City", state: "NY", postalCode: "11101" };
const personal = (firstName, ssn = "1234") => ({
  firstName,
  lastName: "Byron",
  email: "ada@example.com",
  type: "personal",
  ...address,
  dateOfBirth: "1980-01-31",
  ssn,
});
const person = (firstName) => ({
  firstName,
  lastName: "Lovelace",
  dateOfBirth: "1980-01-31",
  ssn: "123456789",
  address: {
    address1: "1 Main Street",
    city: "Des Moines",
    stateProvinceRegion: "IA",
    postalCode: "50309",
    country: "US",
  },
});
const business = (businessClassification) => ({
  firstName: "Ada",
  lastName: "Byron",
  email: "ada@example.com",
  type: "business",
  ...address,
  businessType: "llc",
  businessName: "Jane Corp",
  businessClassification,
  ein: "12-3456789",
  controller: { ...person("John"), title: "CEO" },
});
const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

let emulator;
let dwolla;

before(async () => {
  emulator = await start();
  dwolla = new Dwolla({
    serverURL: emulator.url,
    security: { clientID: "sandbox-key", clientSecret: "sandbox-secret", tokenURL: "/token" },
  });
});
after(() => emulator?.stop());

// idOf returns the id at the end of the Location of a creation.
function idOf({ headers }) {
  const [location] = headers.location;
  assert.ok(location.startsWith(`${emulator.url}/`), location);
  return location.split("/").at(-1);
}

const create = async (customer) => idOf(await dwolla.customers.create(customer));

describe("the SDK", () => {
  test("creates, reads and upgrades a Customer", async () => {
    const id = await create({ firstName: "Ada", lastName: "Byron", email: "ada@example.com", type: "unverified" });
    assert.equal((await dwolla.customers.get({ id })).status, "unverified");
    await dwolla.customers.update({ id, requestBody: personal("Ada") });
    const upgraded = await dwolla.customers.get({ id });
    assert.deepEqual([upgraded.type, upgraded.status, upgraded.city], ["personal", "verified", "Some City"]);
  });

  test("vends a client token", async () => {
    const id = await create(personal("Ada"));
    const { token } = await dwolla.clientTokens.create({
      action: "customer.read",
      links: { customer: { href: `${emulator.url}/customers/${id}` } },
    });
    const read = () =>
      fetch(`${emulator.url}/customers/${id}`, {
        headers: { authorization: `Bearer ${token}`, accept: "application/vnd.dwolla.v1.hal+json" },
      });
    assert.equal((await (await read()).json()).id, id);
    assert.equal((await read()).status, 401);
  });

  test("uploads a document that verifies a Customer", async () => {
    const id = await create(personal("document"));
    const uploaded = await dwolla.customers.documents.create({
      id,
      requestBody: { documentType: "license", file: { fileName: "test-document-upload-success.png", content: png } },
    });
    const document = await dwolla.documents.get({ id: idOf(uploaded) });
    assert.deepEqual([document.type, document.documentVerificationStatus], ["license", "accepted"]);
    assert.equal((await dwolla.customers.documents.list({ id })).total, 1);
    assert.equal((await dwolla.customers.get({ id })).status, "verified");
  });

  test("adds a bank and verifies it by micro-deposits", async () => {
    const id = await create(personal("Ada"));
    const bank = idOf(
      await dwolla.customers.fundingSources.create({
        id,
        createCustomerFundingSource: {
          routingNumber: "222222226",
          accountNumber: "123456789",
          bankAccountType: "checking",
          name: "Checking",
        },
      }),
    );
    await dwolla.fundingSources.microDeposits.initiate({ id: bank });
    assert.equal((await dwolla.fundingSources.microDeposits.get({ id: bank })).status, "processed");
    const amount = (value) => ({ value, currency: "USD" });
    await dwolla.fundingSources.microDeposits.verify({
      id: bank,
      requestBody: { amount1: amount("0.03"), amount2: amount("0.09") },
    });
    assert.equal((await dwolla.fundingSources.get({ id: bank })).status, "verified");
    const listed = await dwolla.customers.fundingSources.list({ id, removed: "false" });
    assert.deepEqual(listed.embedded.fundingSources.map((source) => source.id), [bank]);
  });

  test("certifies a business with its owners", async () => {
    const groups = await dwolla.businessClassifications.list();
    const group = await dwolla.businessClassifications.get({ id: groups.embedded.businessClassifications[0].id });
    const id = await create(business(group.embedded.industryClassifications[0].id));
    const owner = idOf(await dwolla.customers.beneficialOwners.create({ id, requestBody: person("incomplete") }));
    assert.equal((await dwolla.beneficialOwners.get({ id: owner })).verificationStatus, "incomplete");
    const updated = await dwolla.beneficialOwners.update({ id: owner, requestBody: person("document") });
    assert.equal(updated.verificationStatus, "document");
    await dwolla.beneficialOwners.documents.create({
      id: owner,
      requestBody: { documentType: "passport", file: { fileName: "test-document-upload-success.png", content: png } },
    });
    assert.equal((await dwolla.beneficialOwners.get({ id: owner })).verificationStatus, "verified");
    await dwolla.customers.beneficialOwnership.certify({ id, requestBody: { status: "certified" } });
    assert.equal((await dwolla.customers.beneficialOwnership.get({ id })).status, "certified");
    await dwolla.beneficialOwners.delete({ id: owner });
    assert.equal((await dwolla.customers.beneficialOwnership.get({ id })).status, "recertify");
  });

  test("reports an error with Dwolla's code", async () => {
    await assert.rejects(create({ ...personal("Ada"), postalCode: "x" }), (error) => {
      assert.equal(error.statusCode, 400);
      assert.match(error.body, /ValidationError.*\/postalCode/s);
      return true;
    });
    await assert.rejects(dwolla.customers.get({ id: "00000000-0000-4000-8000-000000000000" }), { statusCode: 404 });
  });
});
