// Reads the samples of docs/integrate.md, so that the tests run what it shows.
import { readFileSync } from "node:fs";

const text = readFileSync(new URL("../docs/integrate.md", import.meta.url), "utf8");

// samples are the code blocks: their language, code, heading, and the sentence before.
export const samples = [];
let heading = "";
for (const [, title, before, language, code] of text.matchAll(
  /^#+ (.*)$|(?:^([^\n]*)\n\n)?^```(\w*)\n([\s\S]*?)^```$/gm,
)) {
  if (title) heading = title;
  else samples.push({ heading, before: before ?? "", language, code, isUsed: false });
}

// sample returns the code of the first sample below a heading that contains part.
export function sample(title, part = "") {
  const found = samples.find(({ heading, code }) => heading === title && code.includes(part));
  if (!found) throw new Error(`the guide has no sample with ${part} below ${title}`);
  found.isUsed = true;
  return found.code;
}

// column returns the code words in the first cells of the table below a heading.
export function column(title) {
  const section = text.split(`# ${title}\n`)[1].split(/^#/m)[0];
  return [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) => [...cell.matchAll(/`(.+?)`/g)].map(([, word]) => word));
}
