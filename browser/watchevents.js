// What the tests of dropgate.js put into every page before its own scripts.

export const script = `<script src="/dropgate/dropgate.js" data-environment="sandbox"></script>`;

// watchEvents makes the pages record dropgate's events in `events`, and the options of
// a library that does nothing else in `configured`.
export const watchEvents = (page) =>
  page.addInitScript(() => {
    globalThis.events = [];
    globalThis.configured = [];
    globalThis.library = { configure: (options) => configured.push(options) };
    for (const name of [
      "ready", "signin-required", "reauthentication-required", "refused", "unavailable", "api-error", "success",
      "linked", "link-failed", "error", "session-expiring", "library-missing",
    ]) {
      document.addEventListener(`dropgate:${name}`, ({ detail }) => events.push([name, JSON.parse(JSON.stringify(detail))]));
    }
  });

// eventsOf returns the details of the events with this name so far.
export const eventsOf = (page, name) =>
  page.evaluate((wanted) => events.filter(([name]) => name === wanted).map(([, detail]) => detail), name);

// eventOf waits for the first event with this name, and returns its detail.
export async function eventOf(page, name) {
  await page.waitForFunction((wanted) => events.some(([name]) => name === wanted), name);
  return (await eventsOf(page, name))[0];
}

// tokenOf asks for a client token as the library does. It returns what the library gets.
export const tokenOf = (page, request = { action: "customer.read" }) =>
  page.evaluate(
    (request) => configured.at(-1).token(request).catch(({ message, code, requestId }) => ({ message, code, requestId })),
    request,
  );
