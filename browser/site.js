// A web site for one file of tests, on a port and so an origin of its own.
import { once } from "node:events";
import { createServer } from "node:http";
import { after } from "node:test";

// site serves pages, by path: HTML, {type, body, status, headers}, or a function of the
// request that returns either. hostname may be localhost, which is another site than 127.0.0.1.
export async function site(hostname = "127.0.0.1") {
  const pages = {};
  const server = createServer(async (request, response) => {
    const page = pages[new URL(request.url, "http://site").pathname];
    const answer = typeof page === "function" ? await page(request) : page;
    const { type = "text/html; charset=utf-8", body, status = 200, headers = {} } =
      typeof answer === "string" ? { body: answer } : (answer ?? { status: 404 });
    response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store", ...headers });
    response.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(async () => {
    server.close();
    server.closeAllConnections();
  });
  const host = `${hostname}:${server.address().port}`;
  return { host, origin: `http://${host}`, pages };
}
