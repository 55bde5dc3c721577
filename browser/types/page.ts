// Uses of dropgate that must compile. Each @ts-expect-error marks one that must not.
import helper, { configure, on, session, version } from "https://pay.example.com/dropgate.mjs";

void dropgate.configure({
  environment: "sandbox",
  styles: "/styles.css",
  base: "/dropgate",
  signIn: "event",
  returnTo: "/documents",
  getAccessToken: async () => "a token",
  success: (result) => console.log(typeof result),
  on: {
    ready: (current) => current?.customer?.id.toUpperCase(),
    refused: ({ code, message, requestId, action }) => [code, message, requestId ?? "", action ?? ""].join(),
    "signin-required": ({ loginUrl }, event) => {
      event.preventDefault();
      location.assign(loginUrl);
    },
  },
});
void configure();

const stop: () => void = on("session-expiring", ({ expiresAt, keepAlive }) => {
  void keepAlive().then(({ user }) => console.log(expiresAt, user.id));
});
stop();

document.addEventListener("dropgate:linked", ({ detail }) => console.log(detail.customer.href));
window.addEventListener("dropgate:link-failed", ({ detail }) => console.log(detail.href, detail.retryAfter + 1));
window.dropgate.on("api-error", ({ embedded }) => embedded?.map(({ path }) => path ?? ""));

const library = { token: dropgate.token }; // of dwolla.configure
void library.token({ action: "customer.create" }).then(({ token }) => token.length);
void helper.link("https://api.dwolla.com/customers/1").then(({ id }) => id.length);
void helper.signOut().then(({ endSessionUrl }) => endSessionUrl?.length);
helper.signIn("/documents");
console.log(version.length, dropgate.base.length);

export async function correlationId(): Promise<string | undefined> {
  return (await session({ refresh: true }))?.correlationId;
}

// @ts-expect-error: the environment has another name
void configure({ environment: "test" });
// @ts-expect-error: there is no such option
void configure({ tokenUrl: "/tokens" });
// @ts-expect-error: there is no such event
on("signed-out", () => {});
// @ts-expect-error: nobody may be signed in
void session().then(({ user }) => user.id);
// @ts-expect-error: a token request names its action
void dropgate.token({});
// @ts-expect-error: refused has no customer
on("refused", ({ customer }) => customer);
