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
      const seen = await frame.evaluate(readPage).catch((error) => ({ unreadable: String(error) }));
      for (const [where, text] of Object.entries(seen)) look(`the ${where} of ${frame.url()}`, text);
    }
  }
  return leaks;
}

// readPage runs in the page. It returns the DOM with open shadow roots and the
// fields' values, and the storage.
function readPage() {
  const texts = [];
  const read = (root) => {
    texts.push(root.innerHTML ?? root.documentElement.outerHTML);
    for (const element of root.querySelectorAll("*")) {
      if (typeof element.value === "string") texts.push(element.value);
      if (element.shadowRoot) read(element.shadowRoot);
    }
  };
  read(document);
  const stored = (storage) => JSON.stringify(Object.entries(storage));
  return {
    DOM: texts.join("\n"),
    localStorage: stored(localStorage),
    sessionStorage: stored(sessionStorage),
    cookies: document.cookie,
    URL: location.href,
    name: String(globalThis.name),
    history: JSON.stringify(history.state) ?? "",
  };
}
