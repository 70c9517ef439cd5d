// A headless Chromium for judges: launches it, collects what it complains of,
// prints the summary, and takes the screenshots.
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";

/** What a judge throws when a viewer would not get what is promised. */
export class Failure extends Error {}

export function check(holds, otherwise) {
  if (!holds) throw new Failure(typeof otherwise === "function" ? otherwise() : otherwise);
}

/**
 * Runs `judge({ browser, open, shoot, said, summary })`; exit 0 when it returns, else 1 with the reason
 * on stderr. The browser is $CHROMIUM or /usr/bin/chromium.
 */
export async function run({ screenshots, summary }, judge) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--autoplay-policy=no-user-gesture-required",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
  const said = [];
  const pages = [];
  const open = async (width, height, options = {}) => {
    const context = await browser.newContext({ viewport: { width, height }, ...options });
    const page = await context.newPage();
    pages.push(page);
    page.on("console", (m) => m.type() === "error" && said.push(m.text()));
    page.on("pageerror", (e) => said.push(`page error: ${e.message}`));
    return page;
  };
  const shoot = async (page, name) => {
    if (!screenshots) return;
    await mkdir(screenshots, { recursive: true });
    await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
  };
  let failure = null;
  try {
    await judge({ browser, open, shoot, said, summary });
  } catch (error) {
    failure = error;
    for (const [at, page] of pages.entries()) await shoot(page, `failed-${at}`).catch(() => undefined);
  } finally {
    // As a viewer leaves: the pages are told.
    for (const page of pages) await page.goto("about:blank").catch(() => undefined);
    await browser.close();
  }
  const errors = said.filter((text) => text.startsWith("page error"));
  if (!failure && errors.length > 0) failure = new Failure(errors[0]);
  if (said.length > 0) summary.browserMessages = said.slice(0, 20);
  summary.passed = failure === null;
  console.log(JSON.stringify(summary, null, 2));
  if (failure) {
    console.error(failure instanceof Failure ? `FAILED: ${failure.message}` : failure);
    process.exit(1);
  }
}

/** Waits until `holds` answers something true; that. */
export async function until(what, ms, holds) {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > deadline) throw new Failure(`${what}: not within ${ms} ms`);
    await pause(100);
  }
}

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
