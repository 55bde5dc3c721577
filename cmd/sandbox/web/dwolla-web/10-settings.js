// The page's settings, and the client tokens that it supplies.

// standIn holds the sandbox's own settings. The line in front of this script may set them,
// and data-attributes of its tag, such as data-links-only or data-timeout, win.
const script = document.currentScript?.dataset ?? {};
const standIn = {
  root: "https://api-sandbox.dwolla.com", // the API, without a slash at the end
  ...globalThis.dwollaStandIn,
};
// The root of links in requests for a token. The service may know the API under another
// address than the browser.
const linkRoot = standIn.links || standIn.root;
// Versions before 2.2.0 gave the token function `links` alone.
const linksOnly = "linksOnly" in script || standIn.linksOnly === true;
// Time limits, in milliseconds.
const limits = {
  timeout: Number(script.timeout ?? 35_000), // of a token or an API call
  grace: Number(script.grace ?? 2_000), // until an element asks for a missing attribute
  patience: Number(script.patience ?? 10_000), // until it asks for dwolla.configure
};

const texts = {
  token: "We have encountered an issue fetching a token.",
  network: "We have encountered an issue reaching Dwolla. Please try again.",
  refused: "Dwolla did not accept the request.",
};

// Fault is a failure without an answer of Dwolla's. The page learns of it through `error`.
class Fault extends Error {}

let settings = null; // the options of the latest dwolla.configure
const connected = new Set(); // the elements in the document

function configure(options) {
  if (options === null || typeof options !== "object") {
    throw new TypeError("dwolla.configure needs an object of options.");
  }
  settings = { ...options };
  for (const element of connected) element.configured();
}

// settingsFault says what keeps the elements from working, or "".
function settingsFault() {
  if (settings === null) return "This page has not called dwolla.configure.";
  if (settings.environment === "production") {
    return 'This is a stand-in for Dwolla\'s library. It works only with the environment "sandbox".';
  }
  return "";
}

function tellSuccess(resource, response) {
  callPage(settings?.success, { resource, response });
}

function tellError(message) {
  callPage(settings?.error, message);
}

// callPage keeps a fault of the page's own function away from the element.
function callPage(callback, value) {
  if (typeof callback !== "function") return;
  Promise.resolve()
    .then(() => callback(value))
    .catch((fault) => globalThis.reportError(fault));
}

// fetchToken asks the page for a client token. Every failure, a hang included, ends in
// the same sentence, as in Dwolla's library.
async function fetchToken(action, links) {
  const request = { action, links };
  try {
    const answer = await within(limits.timeout, (signal) => {
      if (typeof settings.token === "function") return settings.token(tokenArgument(request));
      return postForToken(request, signal);
    });
    if (typeof answer?.token === "string" && answer.token !== "") return answer.token;
  } catch {
    // The sentence below is all that Dwolla's library says.
  }
  throw new Fault(texts.token);
}

function tokenArgument({ action, links }) {
  if (links === null) return { action };
  return linksOnly ? { action, links } : { action, links, _links: links };
}

async function postForToken({ action, links }, signal) {
  const url = await (typeof settings.tokenUrl === "function" ? settings.tokenUrl() : settings.tokenUrl);
  if (typeof url !== "string" || url === "") throw new Fault("There is no tokenUrl.");
  const response = await fetch(url, {
    method: "POST",
    credentials: "include",
    headers: {
      Accept: "application/json",
      "Content-Type": "application/json",
      "X-Requested-With": "Dwolla-Drop-Ins-Library",
    },
    body: JSON.stringify(links === null ? { action } : { action, _links: links }),
    signal,
  });
  if (!response.ok) throw new Fault("The token endpoint refused.");
  return response.json();
}

// within starts something and gives up after the time limit.
function within(milliseconds, start) {
  const limit = new AbortController();
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      limit.abort();
      reject(new Fault("The time limit has passed."));
    }, milliseconds);
  });
  const started = Promise.resolve().then(() => start(limit.signal));
  return Promise.race([started, late]).finally(() => clearTimeout(timer));
}
