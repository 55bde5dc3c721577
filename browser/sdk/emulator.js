// Starts the sandbox command with the emulator alone.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const root = new URL("../..", import.meta.url).pathname;
const attempts = 5;
const startsWithin = 60_000;

// start returns the emulator's URL and what stops it. `make test-sdk` builds the
// program and names it in SANDBOX.
export async function start() {
  const folder = await mkdtemp(join(tmpdir(), "dropgate-sdk-"));
  const program = process.env.SANDBOX ?? join(folder, "sandbox");
  if (!process.env.SANDBOX) {
    await promisify(execFile)("go", ["build", "-o", program, "./cmd/sandbox"], { cwd: root });
  }
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(program, ["-only", "emulator", "-emulator-addr", address], { stdio: "ignore" });
    const exited = once(child, "exit");
    const url = `http://${address}`;
    if (await answers(url, exited)) {
      const stop = async () => {
        child.kill();
        await exited;
        await rm(folder, { recursive: true });
      };
      return { url, stop };
    }
    child.kill();
    await exited;
  }
  await rm(folder, { recursive: true });
  throw new Error("the emulator did not start");
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await promisify(server.close.bind(server))();
  return port;
}

// answers polls until the emulator answers. It is false if the program ends, as it
// does if another process took the port.
async function answers(url, exited) {
  let ended = false;
  exited.then(() => (ended = true));
  for (const begin = Date.now(); !ended && Date.now() - begin < startsWithin; ) {
    const response = await fetch(`${url}/customers`).catch(() => null);
    if (response) {
      await response.arrayBuffer();
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}
