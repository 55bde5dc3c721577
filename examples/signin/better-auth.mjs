// An application with better-auth. Argument: the port.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";

const port = Number(process.argv[2]);
const auth = betterAuth({
  baseURL: `http://127.0.0.1:${port}`,
  secret: "a secret for this example, of 32 characters or more",
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  session: { updateAge: 0 }, // sets the cookie again at each use
});
createServer(toNodeHandler(auth)).listen(port, "127.0.0.1");
