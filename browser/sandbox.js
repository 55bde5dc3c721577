// Starts the real sandbox command: the service, the emulator, the demo identity
// provider and the demo page. It never talks to Dwolla.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const root = new URL("..", import.meta.url).pathname;
const readyLine = "dropgate is ready";
const startsWithin = 120_000;
const attempts = 5;
const logLines = 2000;

// command returns the sandbox's program and what to call afterwards. `make
// test-browser` builds it once and names it in SANDBOX.
async function command() {
  if (process.env.SANDBOX) {
    return { program: process.env.SANDBOX, remove: async () => {} };
  }
  const folder = await mkdtemp(join(tmpdir(), "dropgate-browser-"));
  const program = join(folder, "sandbox");
  await promisify(execFile)("go", ["build", "-o", program, "./cmd/sandbox"], { cwd: root });
  return { program, remove: () => rm(folder, { recursive: true }) };
}

// freePorts returns count ports that were free a moment ago.
export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => promisify(server.close.bind(server))()));
  return ports;
}

// start runs the sandbox and waits until it is ready. args are further flags;
// providerHost is the provider's name for browsers, such as localhost.
export async function start({ args = [], providerHost = "127.0.0.1" } = {}) {
  const { program, remove } = await command();
  try {
    for (let attempt = 1; ; attempt++) {
      const [emulator, provider, http, admin] = await freePorts(4);
      const ports = { emulator, provider, http, admin };
      const at = addresses(ports, providerHost);
      const running = run(program, [...flags(ports), "-provider-issuer", at.issuer, ...args]);
      if (await running.ready) {
        const stop = async () => {
          await running.stop();
          await remove();
        };
        return { ...at, log: running.log, stop };
      }
      await running.stop();
      // Another process can take a port before the sandbox does.
      if (attempt === attempts || !running.log().includes("address already in use")) {
        throw new Error(`the sandbox did not start:\n${running.log()}`);
      }
    }
  } catch (error) {
    await remove();
    throw error;
  }
}

function flags({ emulator, provider, http, admin }) {
  return Object.entries({ emulator, provider, http, admin }).flatMap(([name, port]) => [
    `-${name}-addr`,
    `127.0.0.1:${port}`,
  ]);
}

function addresses({ emulator, provider, http, admin }, providerHost) {
  const at = (port, host = "127.0.0.1") => `http://${host}:${port}`;
  const url = at(http);
  return { url, service: `${url}/dropgate`, emulator: at(emulator), issuer: at(provider, providerHost), admin: at(admin) };
}

// run starts the program. ready is false if it ended before it was ready.
function run(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const lines = [];
  let announceReady;
  const printed = new Promise((resolve) => (announceReady = resolve));
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      lines.splice(0, lines.length - logLines);
      if (line.includes(readyLine)) announceReady();
    });
  }
  child.once("error", (error) => lines.push(String(error)));
  const log = () => lines.join("\n");
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await ended;
  };
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, startsWithin, false)));
  const ready = Promise.race([printed.then(() => true), ended.then(() => false), late]);
  ready.finally(() => clearTimeout(timer));
  return { ready, log, stop };
}
