/* The first load, gzipped and without fonts, stays within 160 KB: what index.html names, and what those files import at once. */
import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 160 * 1024;
const dist = new URL("../dist/", import.meta.url);
const html = readFileSync(new URL("index.html", dist), "utf8");
const named = [...html.matchAll(/(?:src|href)="\.?\/?([^"]+\.(?:js|css|svg))"/g)].map((match) => match[1]);
const first = new Set(["index.html", ...named]);
for (const file of first) {
  if (!file.endsWith(".js")) continue;
  // A static import of another chunk is loaded at once as well.
  for (const match of readFileSync(new URL(file, dist), "utf8").matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) {
    first.add(`assets/${match[1]}`);
  }
}
let total = 0;
for (const file of first) {
  const bytes = gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
  total += bytes;
  console.log(`${(bytes / 1024).toFixed(1).padStart(8)} KB  ${file}`);
}
const later = readdirSync(new URL("assets/", dist)).filter((name) => /\.(js|css)$/.test(name) && !first.has(`assets/${name}`));
for (const name of later) {
  const bytes = gzipSync(readFileSync(new URL(`assets/${name}`, dist)), { level: 9 }).length;
  console.log(`${(bytes / 1024).toFixed(1).padStart(8)} KB  assets/${name} (when needed)`);
}
console.log(`${(total / 1024).toFixed(1).padStart(8)} KB  first load, gzipped, of ${LIMIT / 1024} KB`);
if (total > LIMIT) {
  console.error("The first load is too large.");
  process.exit(1);
}
