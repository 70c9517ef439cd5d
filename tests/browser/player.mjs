// Opens a player page in headless Chromium and judges what a viewer gets.
//
//   node player.mjs --url PLAYER_URL [--seconds 15] [--screenshot FILE] [--start-seconds 5]
//
// Prints a JSON summary. Exit 0 when video started in time, kept playing with
// sound, and changed its rung from the menu; else 1 with the reason on stderr.
// The browser is $CHROMIUM or /usr/bin/chromium.
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    seconds: { type: "string", default: "15" },
    "start-seconds": { type: "string", default: "5" },
    screenshot: { type: "string" },
  },
});
if (!options.url) {
  console.error("usage: node player.mjs --url PLAYER_URL [--seconds N] [--screenshot FILE]");
  process.exit(2);
}
const SECONDS = Number(options.seconds);
const START_MS = Number(options["start-seconds"]) * 1000;
const SAMPLE_MS = 250;
/** A change of rung shows within this time: some seconds of buffer and a segment. */
const SWITCH_MS = 15_000;

class Failure extends Error {}

const summary = { url: options.url };
const browserMessages = [];
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
let failure = null;
let page;
try {
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.on("console", (m) => m.type() === "error" && browserMessages.push(m.text()));
  page.on("pageerror", (e) => browserMessages.push(`page error: ${e.message}`));
  await judge(page);
} catch (error) {
  failure = error;
} finally {
  if (page && options.screenshot) {
    await page.screenshot({ path: options.screenshot }).catch(() => undefined);
  }
  // As a viewer leaves: the page is told.
  await page?.goto("about:blank").catch(() => undefined);
  await browser.close();
}
if (browserMessages.length > 0) summary.browserMessages = browserMessages.slice(0, 20);
summary.passed = failure === null;
console.log(JSON.stringify(summary, null, 2));
if (failure) {
  console.error(failure instanceof Failure ? `FAILED: ${failure.message}` : failure);
  process.exit(1);
}

async function judge(page) {
  const opened = Date.now();
  await page.goto(options.url, { waitUntil: "commit", timeout: START_MS });
  summary.startupMs = await started(page, opened);

  const first = await read(page);
  const samples = await sample(page, SECONDS * 1000);
  const last = samples.at(-1);
  summary.playedSeconds = round(last.currentTime - first.currentTime);
  summary.watchedSeconds = round((last.at - first.at) / 1000);
  if (summary.playedSeconds < summary.watchedSeconds * 0.8) {
    throw new Failure(
      `played ${summary.playedSeconds} s of video in ${summary.watchedSeconds} s of watching`,
    );
  }
  summary.audioBytesDecoded = last.audioBytes;
  if (!(last.audioBytes > first.audioBytes)) throw new Failure("no audio was decoded");
  summary.frames = last.totalFrames;
  summary.droppedFrames = last.droppedFrames;
  summary.stalls = last.stalls;
  summary.latencyMs = spread(samples.map((s) => s.latencyMs).filter((l) => l !== null));
  if (summary.latencyMs.count === 0) throw new Failure("the playlist gave no program date time");

  summary.switches = await switchRungs(page);
}

/** Waits until the picture moves; ms since `opened`. */
async function started(page, opened) {
  const deadline = opened + START_MS;
  while (Date.now() < deadline) {
    const now = await read(page).catch(() => null);
    if (now && now.currentTime > 0 && now.totalFrames > 0 && !now.paused) return Date.now() - opened;
    await pause(50);
  }
  const state = await page
    .evaluate(() => document.getElementById("notice")?.textContent ?? document.title)
    .catch(() => "no page");
  throw new Failure(`video did not start within ${START_MS} ms (the page says: ${state})`);
}

async function sample(page, forMs) {
  const samples = [];
  const until = Date.now() + forMs;
  while (Date.now() < until) {
    await pause(SAMPLE_MS);
    samples.push(await read(page));
  }
  return samples;
}

/** Chooses each rung in the menu and waits for a picture of its height. */
async function switchRungs(page) {
  const rungs = await page.$$eval("#rungs option", (all) =>
    all.map((o) => o.value).filter((v) => v !== "-1"),
  );
  if (rungs.length === 0) throw new Failure("the rung menu is empty");
  const switches = [];
  for (const height of [...rungs].sort((a, b) => Number(a) - Number(b))) {
    const asked = Date.now();
    await page.selectOption("#rungs", height);
    while ((await read(page)).height !== Number(height)) {
      if (Date.now() - asked > SWITCH_MS) {
        const { height: shown } = await read(page);
        throw new Failure(`asked for ${height}p, still ${shown}p after ${SWITCH_MS} ms`);
      }
      await pause(100);
    }
    const shownAt = await read(page);
    await pause(2_000);
    const after = await read(page);
    if (after.currentTime - shownAt.currentTime < 1) {
      throw new Failure(`after the change to ${height}p the picture stands still`);
    }
    switches.push({ height: Number(height), afterMs: shownAt.at - asked, latencyMs: after.latencyMs });
  }
  return switches;
}

/** What the page shows now. */
async function read(page) {
  return page.evaluate(() => {
    const video = document.querySelector("video");
    const stats = window.millrace.stats();
    return {
      at: Date.now(),
      currentTime: video.currentTime,
      paused: video.paused,
      height: video.videoHeight,
      audioBytes: video.webkitAudioDecodedByteCount ?? 0,
      totalFrames: stats.totalFrames,
      droppedFrames: stats.droppedFrames,
      stalls: stats.stalls,
      latencyMs: stats.latencyMs,
    };
  });
}

function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}

function round(seconds) {
  return Math.round(seconds * 100) / 100;
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
