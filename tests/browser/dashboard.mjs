// Signs in to the dashboard in headless Chromium and does there what an
// administrator does.
//
//   API_TOKEN=… node dashboard.mjs --url ADMIN_ORIGIN --stream STREAM_ID [--acts] [--screenshots FOLDER]
//
// The stream is live; the token may do all. With --acts it makes and revokes a
// key, tries what a token may that is for reading, and ends the broadcast.
// Prints a JSON summary; exit 0 when all of it worked, else 1 with the reason
// on stderr.
import { parseArgs } from "node:util";

import { check, run, until } from "./chromium.mjs";
import { judgeEnding } from "./dashboard/ending.mjs";
import { judgeFigures } from "./dashboard/figures.mjs";
import { judgeKeys } from "./dashboard/keys.mjs";
import { judgeSigningIn, signIn, token } from "./dashboard/signin.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    stream: { type: "string" },
    acts: { type: "boolean", default: false },
    screenshots: { type: "string" },
  },
});
const secret = process.env.API_TOKEN;
if (!options.url || !options.stream || !secret) {
  console.error("usage: API_TOKEN=… node dashboard.mjs --url ADMIN_ORIGIN --stream STREAM_ID [--acts] [--screenshots FOLDER]");
  process.exit(2);
}
const { stream } = options;
const dashboard = new URL("/dashboard", options.url).href;
const summary = { url: dashboard };

await run({ screenshots: options.screenshots, summary }, async ({ open, shoot, said }) => {
  const page = await open(1280, 900, { colorScheme: "light" });
  const elsewhere = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(options.url).origin)) elsewhere.push(request.url());
  });
  await judgeSigningIn(page, dashboard, secret, shoot);

  const row = `tr[data-stream="${stream}"]`;
  await until("the stream is listed as live", 10_000, async () => (await page.textContent(row)).includes("Live"));
  await shoot(page, "dashboard-streams");
  await page.fill("input[type=search]", "no such stream");
  await until("the filter leaves none", 2_000, async () => !(await page.$(row)));
  await page.fill("input[type=search]", stream);
  await page.click(`${row} a`);
  await until("the stream has an address", 2_000, () => page.url().endsWith(`/dashboard/${stream}`));

  summary.figures = await judgeFigures(page);
  await shoot(page, "dashboard-stream");
  await judgePhone(await open(375, 667, { colorScheme: "dark", isMobile: true, hasTouch: true }), shoot);
  if (options.acts) {
    await judgeKeys(page, shoot);
    await judgeReader(await open(1280, 900), shoot);
    await judgeEnding(page, stream, shoot);
  }

  // A token that is revoked while the page is open.
  await page.evaluate((name) => sessionStorage.setItem(name, "of-yesterday"), token);
  await until("it asks to sign in again, and says why", 15_000, async () =>
    (await page.textContent("main")).includes("not known any more"),
  );
  check(elsewhere.length === 0, () => `it asked elsewhere: ${elsewhere[0]}`);
  const refused = said.find((text) => /Content Security Policy/.test(text));
  check(!refused, () => `the page's own policy refused something: ${refused}`);
});

async function judgePhone(phone, shoot) {
  await phone.goto(`${dashboard}/${stream}`);
  await signIn(phone, secret);
  await phone.waitForSelector(".chart canvas");
  await until("figures are shown", 10_000, async () => (await phone.textContent('[data-tile="In"]')).includes("b/s"));
  const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(overflow <= 0, `on a phone the page is ${overflow} px too wide`);
  await shoot(phone, "dashboard-phone");
  await phone.goto("about:blank");
}

/** Whoever may only look is offered no more. */
async function judgeReader(page, shoot) {
  await page.goto(`${dashboard}/${stream}`);
  await signIn(page, await readersToken());
  await page.waitForSelector(".chart canvas");
  await until("figures are shown", 10_000, async () => (await page.textContent('[data-tile="In"]')).includes("b/s"));
  check(!(await page.$("#end")) && !(await page.$("#new-key")), "a reader is offered what it may not");
  await shoot(page, "dashboard-reader");
  await page.goto("about:blank");
}

async function readersToken() {
  const response = await fetch(new URL("/api/v1/tokens", options.url), {
    method: "POST",
    headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" },
    body: JSON.stringify({ name: "reader", scopes: ["streams:read"], streams: ["*"] }),
  });
  check(response.status === 201, () => `a token for reading: ${response.status}`);
  return (await response.json()).token;
}
