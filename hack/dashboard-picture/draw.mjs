// Draws deploy/grafana/dashboards/dropgate.json with the components of @grafana/ui, from
// the data of a real Prometheus, and writes a picture. No Grafana runs: see
// deploy/grafana/dashboards/README.md.
//
// Usage: node draw.mjs FOLDER PICTURE, with MODULES, a folder of npm packages.
// `make dashboard-picture` installs these and fills the folder.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(path.join(process.env.MODULES, '/'));
const { build } = require('esbuild');
const UPNG = require('upng-js');
const here = path.dirname(fileURLToPath(import.meta.url));
const [folder, picture] = process.argv.slice(2).map((p) => path.resolve(p));
const dashboard = JSON.parse(readFileSync(path.join(here, '../../deploy/grafana/dashboards/dropgate.json'), 'utf8'));
const times = JSON.parse(readFileSync(path.join(folder, 'times.json'), 'utf8'));
const step = 5; // seconds between two scrapes of the run
const width = 1480;

const prometheus = await start(path.join(folder, 'data'));
try {
  const panels = await Promise.all(dashboard.panels.map(async (panel) => ({ ...panel, results: await ask(panel) })));
  await draw({ panels, times, width });
} finally {
  await prometheus.stop();
}

// start starts a Prometheus on the data. It scrapes nothing.
async function start(data) {
  const temporary = mkdtempSync(path.join(tmpdir(), 'dashboard-picture-'));
  const config = path.join(temporary, 'prometheus.yml');
  writeFileSync(config, '{}');
  const address = '127.0.0.1:19599';
  const server = spawn('prometheus', [`--config.file=${config}`, `--storage.tsdb.path=${data}`, `--web.listen-address=${address}`], { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.on('exit', resolve));
  const ready = async () => {
    for (let i = 0; i < 100; i++) {
      if (await fetch(`http://${address}/-/ready`).then((r) => r.ok, () => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error('Prometheus did not start');
  };
  await ready();
  return {
    url: `http://${address}`,
    stop: async () => {
      server.kill();
      await ended;
      rmSync(temporary, { recursive: true });
    },
  };
}

// ask runs the queries of a panel, with the variables as Grafana sets them.
function ask(panel) {
  return Promise.all((panel.targets ?? []).map(async (target) => {
    const query = target.expr.replaceAll(/\$(namespace|job|instance)\b/g, '.*').replaceAll('$__rate_interval', `${4 * step}s`)
      .replaceAll('$__range', `${Math.round((times.to - times.from) / 1000)}s`);
    const values = target.instant
      ? { query, time: times.to / 1000 }
      : { query, start: times.from / 1000, end: times.to / 1000, step };
    const answer = await fetch(`${prometheus.url}/api/v1/${target.instant ? 'query' : 'query_range'}?${new URLSearchParams(values)}`);
    const body = await answer.json();
    if (body.status !== 'success') throw new Error(`${panel.title}: ${body.error}`);
    return { target, series: body.data.result };
  }));
}

// draw bundles the page with its data, and lets Chromium take the picture.
async function draw(run) {
  const temporary = mkdtempSync(path.join(tmpdir(), 'dashboard-picture-'));
  try {
    await build({
      entryPoints: [path.join(here, 'page.jsx')], bundle: true, outfile: path.join(temporary, 'page.js'), logLevel: 'error',
      define: { 'process.env.NODE_ENV': '"production"' }, loader: { '.svg': 'text', '.ttf': 'empty' }, jsx: 'automatic', nodePaths: [process.env.MODULES],
    });
    const rows = Math.max(...run.panels.map(({ gridPos: g }) => g.y + g.h));
    const page = path.join(temporary, 'page.html');
    writeFileSync(page, `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css"><title>dropgate</title><div id="root"></div>
<script>window.run = ${JSON.stringify(run).replaceAll('<', '\\u003c')}</script><script src="page.js"></script>`);
    execFileSync('chromium', ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--allow-file-access-from-files',
      `--user-data-dir=${temporary}/profile`, `--window-size=${run.width},${rows * 38 + 60}`, '--virtual-time-budget=20000',
      `--screenshot=${temporary}/page.png`, `file://${page}`], { stdio: 'pipe' });
    const image = UPNG.decode(readFileSync(path.join(temporary, 'page.png')));
    // 64 colors keep the picture small.
    writeFileSync(picture, Buffer.from(UPNG.encode(UPNG.toRGBA8(image), image.width, image.height, 64)));
  } finally {
    rmSync(temporary, { recursive: true });
  }
}
