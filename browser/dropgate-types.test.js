// dropgate.d.ts, checked with TypeScript, and compared with the script.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

const ts = await import("typescript").then(({ default: ts }) => ts, () => null);
const lacking = ts ? undefined : "typescript is not installed: run `npm ci` in browser/";
const skip = process.env.CI !== "true" && lacking;

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const types = path("../api/dropgate.d.ts");

test("the types fit a page that uses every part", { skip }, () => {
  assert.ok(ts, lacking);
  const program = ts.createProgram([types, path("types/page.ts")], {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    types: [],
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ES2022,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
  });
  const faults = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const line = file ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
  assert.deepEqual(faults, []);
});

// members lists the names that an interface or a module of the types declares.
function members(name) {
  const found = [];
  const visit = (node) => {
    if (node.name?.text === name) {
      for (const member of node.members ?? node.body.statements) {
        const names = member.declarationList?.declarations ?? [member];
        if (name === "API" || member.modifiers?.length > 0 || name === "Events") found.push(...names.map((one) => one.name?.text));
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(types, readFileSync(types, "utf8"), ts.ScriptTarget.ES2022));
  return found.filter(Boolean).sort();
}

test("the types list what the script has", { skip }, () => {
  assert.ok(ts, lacking);
  const source = readFileSync(path("../api/dropgate.js"), "utf8");
  const [, api] = source.match(/globalThis\.dropgate = \{(.*?)\}/s);
  const names = api.split(",").map((part) => part.trim().split(":")[0]).sort();
  assert.deepEqual(members("API"), names);
  assert.deepEqual(members("*/dropgate.mjs"), names.filter((name) => name !== "base"));
  const first = [...source.matchAll(/\bemit\((.*?"), /g)].map(([, names]) => names).join();
  const events = new Set([...first.matchAll(/"([a-z-]+)"/g)].map(([, name]) => name));
  assert.deepEqual(members("Events"), [...events].sort());
});
