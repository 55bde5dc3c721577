// An OpenID provider for one test: oidc-provider, which OpenID has certified.
//
// It reads its configuration from standard input, as one line of JSON with accounts and
// the options of oidc-provider. It listens on 127.0.0.1, prints its issuer, and ends with
// its standard input. Users sign in without a password, by their login_hint.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${server.address().port}`;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { accounts, options } = JSON.parse((await lines.next()).value);

const provider = new Provider(issuer, {
  ...options,
  findAccount: (_, accountId) => accounts[accountId] && { accountId, claims: () => ({ sub: accountId, ...accounts[accountId] }) },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  // The client belongs to the provider's owner, so users need not consent.
  async loadExistingGrant({ oidc }) {
    const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope(oidc.params.scope);
    await grant.save();
    return grant;
  },
  // oidc-provider does not call addresses of this machine. The tests have no other.
  fetch: (url, { dispatcher, ...rest }) => fetch(url, rest),
});

const failed = (_, err, client) => console.error("logout of", client?.clientId, err.message);
provider.on("backchannel.error", failed);
provider.on("server_error", (_, err) => console.error(err));

const answer = provider.callback();
server.on("request", async (req, res) => {
  if (!req.url.startsWith("/interaction/")) return answer(req, res);
  try {
    const { params } = await provider.interactionDetails(req, res);
    await provider.interactionFinished(req, res, { login: { accountId: params.login_hint } });
  } catch (err) {
    console.error(err);
    res.writeHead(400).end();
  }
});
console.log(issuer);

await lines.next();
process.exit();
