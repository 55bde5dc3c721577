// Packs CommonJS packages of npm into one script, which React needs to run in a page
// without a build step.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// bundle returns a classic script. It defines one global for each of names:
// {React: "react"} gives the page `React`.
export function bundle(names) {
  const files = new Map();
  const add = (from, name) => {
    const file = createRequire(from).resolve(name);
    if (files.has(file)) return file;
    const source = readFileSync(file, "utf8");
    const needs = {};
    files.set(file, { source, needs });
    for (const [, needed] of source.matchAll(/\brequire\(["'](.+?)["']\)/g)) {
      if (!/\.development\.js$/.test(needed)) needs[needed] = add(file, needed);
    }
    return file;
  };
  const globals = Object.entries(names).map(([global, name]) => {
    const file = add(import.meta.url, name);
    return `globalThis[${JSON.stringify(global)}] = load(${JSON.stringify(file)});`;
  });
  const modules = [...files].map(
    ([file, { source, needs }]) =>
      `${JSON.stringify(file)}: [${JSON.stringify(needs)}, (module, exports, require) => {\n${source}\n}]`,
  );
  return `(() => {
const process = { env: { NODE_ENV: "production" } };
const modules = {${modules.join(",\n")}};
const loaded = {};
function load(file) {
  if (!loaded[file]) {
    const module = (loaded[file] = { exports: {} });
    const [needs, run] = modules[file];
    run(module, module.exports, (name) => load(needs[name]));
  }
  return loaded[file].exports;
}
${globals.join("\n")}
})();
`;
}
