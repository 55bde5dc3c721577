// A page as an application writes it: dropgate.js, Dwolla's library and a component.

const events = [
  "ready",
  "signin-required",
  "reauthentication-required",
  "refused",
  "unavailable",
  "api-error",
  "linked",
  "link-failed",
  "success",
  "error",
  "session-expiring",
  "library-missing",
];

// application returns the HTML of a page with body. It notes the events of dropgate.js.
//   from       the origin of the sandbox, for a page that is elsewhere
//   signIn     the option signIn of dropgate.js
//   configure  false if the page calls dropgate.configure itself
//   library    the address of Dwolla's library; empty: the page has none
export function application(
  body,
  { from = "", signIn = "event", configure = true, library = `${from}/dwolla-web.js` } = {},
) {
  const begin = configure ? `data-environment="sandbox" data-sign-in="${signIn}"` : "";
  return `<link rel="icon" href="data:,">
<script>
  globalThis.seen = [];
  for (const name of ${JSON.stringify(events)}) {
    document.addEventListener("dropgate:" + name, ({ detail }) => seen.push({ name, ...detail }));
  }
</script>
<script src="${from}/dropgate/dropgate.js" ${begin}></script>
${library && `<script src="${library}"></script>`}
<main>${body}</main>`;
}

// seen returns the events of the page so far, oldest first.
export function seen(page) {
  return page.evaluate(() => JSON.parse(JSON.stringify(globalThis.seen)));
}

// event waits for the first event with this name, and returns its detail.
export async function event(page, name) {
  const found = await page.waitForFunction((wanted) => globalThis.seen?.find((one) => one.name === wanted), name);
  const detail = await found.evaluate((one) => JSON.parse(JSON.stringify(one)));
  return detail;
}

// errorOf is the message that a component shows to the user about a fault.
export const errorOf = (element) => element.locator("#dwolla-error-message");

// successOf is the message that a component shows to the user at the end.
export const successOf = (element) => element.locator("#dwolla-success-message");

// pauseClock stops the page's clock. Only the test moves it, with page.clock.runFor, so
// that a busy machine fires no timer.
export async function pauseClock(page) {
  const now = Date.now();
  await page.clock.install({ time: now });
  await page.clock.pauseAt(now + 1000);
}
