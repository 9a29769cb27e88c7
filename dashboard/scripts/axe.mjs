/*
 * axe on every page of a running Percapita, at 1440, 1000 and 390 wide, light and dark. Any finding fails.
 *   PERCAPITA_URL=http://127.0.0.1:8080 PERCAPITA_KEY=pc_live_… CHROMIUM=/path/to/chromium npm run axe
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const { PERCAPITA_URL: base = "http://127.0.0.1:8080", PERCAPITA_KEY: key, CHROMIUM: executablePath } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];

const api = async (path) => (await (await fetch(new URL(`v1/me/ai-apps/${path}`, `${base}/`), { headers: { Authorization: `Bearer ${key}` } })).json()).data;
const [user] = await api("users?limit=1");
const [trace] = await api("traces?limit=1");
const pages = ["", "users", "users?group=tag.org", "traces", "models", "tools", "notices", "?show=table"];
if (user) pages.push(`users/${encodeURIComponent(user.user_id)}`);
if (trace) {
  const { events } = await api(`traces/${encodeURIComponent(trace.trace_id)}`);
  pages.push(`traces/${encodeURIComponent(trace.trace_id)}?event=${events[0].id}`);
}

const browser = await chromium.launch({ ...(executablePath ? { executablePath } : {}), args: ["--no-sandbox"] });
let found = 0;
for (const [width, height] of [[1440, 900], [1000, 800], [390, 844]]) {
  for (const colorScheme of ["light", "dark"]) {
    // The policy of the pages forbids what axe does, running inside them.
    const context = await browser.newContext({ viewport: { width, height }, colorScheme, bypassCSP: true });
    const page = await context.newPage();
    const check = async (path) => {
      await page.goto(new URL(path, `${base}/`).href);
      await page.waitForSelector("h1");
      await page.waitForFunction(() => !document.querySelector(".skeleton, .waiting-room, .stale"));
      await page.evaluate(axe);
      const { violations } = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: values }), rules);
      for (const { id, nodes } of violations) console.error(`${width} ${colorScheme} /${path}: ${id}, ${nodes.map((node) => node.target.join(" ")).join("; ")}`);
      found += violations.length;
    };
    await check("sign-in");
    await page.fill("#key", key);
    await page.click("button[type=submit]");
    await page.waitForSelector(".kpi, .diagnosis");
    for (const path of pages) await check(path);
    await context.close();
  }
}
await browser.close();
console.log(found === 0 ? "axe finds nothing" : `axe finds ${found}`);
process.exit(found === 0 ? 0 : 1);
