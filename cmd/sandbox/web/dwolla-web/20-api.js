// Calls of Dwolla's API, cross-origin and with one client token each.

const hal = "application/vnd.dwolla.v1.hal+json";

// Refusal is an error that Dwolla answered. The page learns of it through `success`.
class Refusal extends Error {
  constructor(problem) {
    const errors = problem._embedded?.errors ?? [];
    super(errors[0]?.message || problem.message || texts.refused);
    this.problem = problem;
    this.paths = errors.map(({ path }) => String(path ?? ""));
  }
}

// callDwolla sends {method, path, json | form} and returns {location, body}.
async function callDwolla(request, token) {
  const headers = { Accept: hal, Authorization: `Bearer ${token}` };
  if (request.json) headers["Content-Type"] = hal;
  const { response, body } = await within(limits.timeout, async (signal) => {
    const answer = await fetch(standIn.root + request.path, {
      method: request.method ?? "GET",
      credentials: "omit",
      cache: "no-store",
      headers,
      body: request.json ? JSON.stringify(request.json) : request.form,
      signal,
    });
    return { response: answer, body: parse(await answer.text()) };
  }).catch(() => {
    throw new Fault(texts.network);
  });
  if (response.ok) return { location: response.headers.get("Location"), body };
  if (typeof body?.code !== "string") throw new Fault(texts.network);
  throw new Refusal(body);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// customerPath and its like take an id from an attribute, so they escape it.
const customerPath = (id) => `/customers/${encodeURIComponent(id)}`;
const ownerPath = (id) => `/beneficial-owners/${encodeURIComponent(id)}`;
const fundingSourcePath = (id) => `/funding-sources/${encodeURIComponent(id)}`;

const customerLinks = (id) => ({ customer: { href: linkRoot + customerPath(id) } });
const ownerLinks = (id) => ({ "beneficial-owner": { href: linkRoot + ownerPath(id) } });

// idOf returns the id at the end of a resource's URL.
function idOf(location) {
  const id = /\/([^/?#]+)\/?$/.exec(location ?? "")?.[1];
  if (!id) throw new Fault("Dwolla's answer does not name what it created.");
  return decodeURIComponent(id);
}
