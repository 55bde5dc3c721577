// An application with Auth.js. Argument: the port.
import express from "express";
import { ExpressAuth } from "@auth/express";
import Credentials from "@auth/express/providers/credentials";

const port = Number(process.argv[2]);
const app = express();
app.use(/^\/auth\/(.*)$/, ExpressAuth({ // ExpressAuth reads the group
  secret: "a secret for this example, of 32 characters or more",
  trustHost: true,
  providers: [Credentials({ credentials: { name: {} }, authorize: ({ name }) => ({ id: `id-of-${name}`, name }) })],
  // Auth.js shows pages no user id by itself.
  callbacks: { session: ({ session, token }) => ({ ...session, user: { ...session.user, id: token.sub } }) },
}));
app.listen(port, "127.0.0.1");
