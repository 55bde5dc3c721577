// Looks for secrets where a page must not keep them: in its URLs, its DOM, its
// storage and its console.

// The emulator makes client tokens and access tokens of 50 such characters.
const emulatorSecret = /(?<![A-Z2-7])[A-Z2-7]{50}(?![A-Z2-7])/;
const sessionCookie = /^(__Host-)?dropgate-/;

// findLeaks returns a sentence for each leak in the context's open pages.
export async function findLeaks({ context, requests, consoleLines, cookiesSeen }) {
  const cookies = [...(await context.cookies()), ...cookiesSeen];
  const values = cookies.filter(({ name }) => sessionCookie.test(name)).map(({ value }) => value);
  const leaks = [];
  const look = (where, text) => {
    if (emulatorSecret.test(text)) leaks.push(`a client token or access token is in ${where}`);
    if (values.some((value) => text.includes(value))) leaks.push(`the session cookie is in ${where}`);
  };
  for (const request of requests) look(`the URL ${request.url()}`, request.url());
  for (const line of consoleLines) look(`the console: ${line}`, line);
  for (const page of context.pages()) {
    for (const frame of page.frames()) {
      const seen = await read(frame);
      for (const [where, text] of Object.entries(seen)) look(`the ${where} of ${frame.url()}`, text);
    }
  }
  return leaks;
}

// read returns the texts of a frame, also of one that is just loading another page.
async function read(frame) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await frame.evaluate(readPage);
    } catch (error) {
      if (frame.isDetached() || frame.page().isClosed()) return {};
      if (attempt === 5) throw error;
      await frame.waitForLoadState();
    }
  }
}

// readPage runs in the page. It returns the DOM with open shadow roots and the
// fields' values, and the storage.
function readPage() {
  const texts = [];
  const readRoot = (root) => {
    texts.push(root.innerHTML ?? root.documentElement.outerHTML);
    for (const element of root.querySelectorAll("*")) {
      if (typeof element.value === "string") texts.push(element.value);
      if (element.shadowRoot) readRoot(element.shadowRoot);
    }
  };
  readRoot(document);
  // A page without an origin, such as about:blank, has no storage and no cookies.
  const own = (get) => {
    try {
      return get();
    } catch {
      return "";
    }
  };
  const stored = (storage) => JSON.stringify(Object.entries(storage));
  return {
    DOM: texts.join("\n"),
    localStorage: own(() => stored(localStorage)),
    sessionStorage: own(() => stored(sessionStorage)),
    cookies: own(() => document.cookie),
    URL: location.href,
    name: String(globalThis.name),
    history: JSON.stringify(history.state) ?? "",
  };
}
