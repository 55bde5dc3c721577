// Dwolla's side for tests of the stand-in library alone: Customers made by the
// emulator's API, and client tokens without the service between.
import assert from "node:assert/strict";

const hal = "application/vnd.dwolla.v1.hal+json";

// dwolla returns what a test does as the application:
//   post(path, body)  creates a resource and returns its id
//   get(path)         reads a resource
//   vend(request)     returns {token} for {action, _links}
export async function dwolla(root) {
  const { access_token: token } = await answer(
    await fetch(`${root}/token`, {
      method: "POST",
      headers: {
        Authorization: `Basic ${Buffer.from("sandbox-key:sandbox-secret").toString("base64")}`,
        "Content-Type": "application/x-www-form-urlencoded",
      },
      body: "grant_type=client_credentials",
    }),
  );
  const headers = { Authorization: `Bearer ${token}`, Accept: hal, "Content-Type": "application/json" };
  const send = (path, body) => fetch(root + path, { method: "POST", headers, body: JSON.stringify(body) });
  return {
    post: async (path, body) => {
      const response = await send(path, body);
      assert.equal(response.status, 201, await response.clone().text());
      return response.headers.get("Location").split("/").pop();
    },
    get: async (path) => answer(await fetch(root + path, { headers })),
    vend: async ({ action, _links }) => answer(await send("/client-tokens", { action, _links })),
  };
}

async function answer(response) {
  assert.ok(response.ok, `${response.url} answered ${response.status}: ${await response.clone().text()}`);
  return response.json();
}

const home = { address1: "1 Main Street", city: "Des Moines", postalCode: "50309" };

// verified returns a personal Customer. The first name may be one of the magic names of
// Dwolla's sandbox.
export const verified = (firstName = "Vera") => ({
  firstName,
  lastName: "Test",
  email: "vera@example.com",
  type: "personal",
  ...home,
  state: "IA",
  dateOfBirth: "1980-01-02",
  ssn: "1234",
});

export const unverified = (firstName = "Una") => ({
  firstName,
  lastName: "Test",
  email: "una@example.com",
  type: "unverified",
});

// company returns a business with a controller.
export const company = (industry) => ({
  firstName: "Bob",
  lastName: "Test",
  email: "bob@example.com",
  type: "business",
  ...home,
  state: "IA",
  businessName: "Bob LLC",
  businessType: "llc",
  businessClassification: industry,
  ein: "12-3456789",
  controller: {
    firstName: "Carl",
    lastName: "Test",
    title: "CEO",
    dateOfBirth: "1970-05-06",
    ssn: "1234",
    address: { ...home, stateProvinceRegion: "IA", country: "US" },
  },
});

export async function anIndustry(application) {
  const list = await application.get("/business-classifications");
  return list._embedded["business-classifications"][0]._embedded["industry-classifications"][0].id;
}
