// A service that answers as a test says, for answers that the real one cannot be made
// to give. It serves the real dropgate.js.
import { site } from "./site.js";

export const alice = { user: { id: "alice" }, customer: { id: "c-1", href: "https://api/customers/c-1" }, environment: "sandbox", actions: [], components: [] };
export const carol = { ...alice, user: { id: "carol" }, customer: null, correlationId: "dg1.carol" };

export const json = (status, value, headers) => ({ status, type: "application/json", body: JSON.stringify(value), headers });
export const problem = (status, code, headers) =>
  json(status, { code, message: `The message of ${code}.`, requestId: "request-1" }, { "X-Request-Id": "request-1", ...headers });
export const signedOut = problem(401, "Unauthenticated");
export const hang = () => new Promise(() => {});

export const disconnect = (request) => void request.socket.destroy();

// faultyService is a site with:
//   calls                 every request to the service: {call: "GET session", body, headers}
//   clock.ahead           how many milliseconds the service's clock is ahead
//   answers(call, ...all) sets the answers of a call; the last one repeats
//   counted(call)         the number of these requests so far
//   open(page, html)      shows a page with this body
//   load(sandbox)         takes over the sandbox's script; call it in each test
export async function faultyService(hostname) {
  const at = await site(hostname);
  const calls = [];
  const clock = { ahead: 0 };
  let plan = {};
  const answer = (call) => async (request) => {
    let body = "";
    for await (const part of request) body += part;
    if (request.method === "OPTIONS") return { status: 204, body: "", headers: allow(request) };
    calls.push({ call: `${request.method} ${call}`, url: request.url, body: body && JSON.parse(body), headers: request.headers });
    const [next, ...rest] = plan[`${request.method} ${call}`] ?? [problem(404, "NotFound")];
    if (rest.length > 0) plan[`${request.method} ${call}`] = rest;
    const result = typeof next === "function" ? await next(request) : next;
    const Date = new globalThis.Date(globalThis.Date.now() + clock.ahead).toUTCString();
    return { body: "", ...result, headers: { ...allow(request), Date, ...result?.headers } };
  };
  for (const call of ["session", "session/customer", "client-tokens", "auth/login", "auth/logout"]) {
    at.pages[`/dropgate/${call}`] = answer(call);
  }
  const load = async (sandbox) => {
    calls.length = 0;
    clock.ahead = 0;
    plan = { "GET session": [json(200, alice)], "POST client-tokens": [json(200, { token: "a-token" })] };
    for (const file of ["dropgate.js", "dropgate.mjs"]) {
      const source = await fetch(`${sandbox.service}/${file}`);
      const headers = { "Access-Control-Allow-Origin": "*" };
      at.pages[`/dropgate/${file}`] = { type: source.headers.get("Content-Type"), body: await source.text(), headers };
    }
  };
  return {
    ...at,
    calls,
    clock,
    load,
    answers: (call, ...all) => (plan[call] = all),
    counted: (call) => calls.filter((one) => one.call === call).length,
    open: (page, html, path = "/page") => {
      at.pages[new URL(path, at.origin).pathname] = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Test</title>\n${html}</html>`;
      return page.goto(at.origin + path);
    },
  };
}

// allow lets a page of any origin read the answer with credentials.
function allow({ headers }) {
  if (!headers.origin) return {};
  return {
    "Access-Control-Allow-Origin": headers.origin,
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, POST, PUT",
    "Access-Control-Allow-Headers": headers["access-control-request-headers"] ?? "",
    "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
  };
}
