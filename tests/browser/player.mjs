// Opens a player page in headless Chromium and judges what a viewer gets.
//
//   node player.mjs --url PLAYER_URL [--seconds 15] [--screenshots FOLDER] [--start-seconds 5]
//
// Prints a JSON summary. Exit 0 when video started in time, kept playing with
// sound, changed its rung from the menu, obeyed keys, said who it is in every
// request, outlived 10 s without network and media that no decoder takes, and
// played in a page of another origin; else 1 with the reason on stderr.
import { parseArgs } from "node:util";

import { Failure, check, pause, run, until } from "./chromium.mjs";
import { round, spread } from "./figures.mjs";
import { judgeDamage } from "./player/damage.mjs";
import { judgeEmbedding } from "./player/embed.mjs";
import { judgeKeys } from "./player/keys.mjs";
import { judgeOutage } from "./player/outage.mjs";
import { read } from "./player/read.mjs";
import { judgeRequests, listen } from "./player/requests.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    seconds: { type: "string", default: "15" },
    "start-seconds": { type: "string", default: "5" },
    screenshots: { type: "string" },
  },
});
if (!options.url) {
  console.error("usage: node player.mjs --url PLAYER_URL [--seconds N] [--screenshots FOLDER]");
  process.exit(2);
}
const SECONDS = Number(options.seconds);
const START_MS = Number(options["start-seconds"]) * 1000;
const SAMPLE_MS = 250;
/** A change of rung shows within this time: some seconds of buffer and a segment. */
const SWITCH_MS = 15_000;

const summary = { url: options.url };
await run({ screenshots: options.screenshots, summary }, async ({ open, shoot }) => {
  const page = await open(1280, 800);
  const asked = listen(page);
  await judgePlaying(page);
  await shoot(page, "player");
  summary.switches = await switchRungs(page);
  summary.requests = await judgeRequests(page, asked);
  await judgeKeys(page, shoot);
  summary.recovered = await judgeOutage(page);
  summary.repaired = await judgeDamage(page);
  await page.goto("about:blank");

  const phone = await open(375, 667, { hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
  const told = listen(phone);
  await phone.goto(options.url);
  await started(phone, Date.now());
  await until("the phone's beacon joins", 5_000, () => told.beacons.length > 0);
  const overflow = await phone.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(overflow <= 0, `on a phone the page is ${overflow} px too wide`);
  await shoot(phone, "phone");
  await phone.goto(new URL("/watch/nobody.knows", options.url).href);
  await until("a stream that is not there is called offline", 10_000, async () =>
    (await phone.textContent("#notice")).includes("Offline"),
  );
  await shoot(phone, "phone-offline");
  await phone.goto("about:blank");

  await judgeEmbedding(await open(900, 620), options.url, shoot);
});

async function judgePlaying(page) {
  const opened = Date.now();
  await page.goto(options.url, { waitUntil: "commit", timeout: START_MS });
  summary.startupMs = await started(page, opened);

  const first = await read(page);
  const samples = await sample(page, SECONDS * 1000);
  const last = samples.at(-1);
  summary.playedSeconds = round(last.currentTime - first.currentTime);
  summary.watchedSeconds = round((last.at - first.at) / 1000);
  check(
    summary.playedSeconds >= summary.watchedSeconds * 0.8,
    `played ${summary.playedSeconds} s of video in ${summary.watchedSeconds} s of watching`,
  );
  summary.audioBytesDecoded = last.audioBytes;
  check(last.audioBytes > first.audioBytes, "no audio was decoded");
  summary.frames = last.totalFrames;
  summary.droppedFrames = last.droppedFrames;
  summary.stalls = last.stalls;
  summary.latencyMs = spread(samples.map((s) => s.latencyMs).filter((l) => l !== null));
  check(summary.latencyMs.count > 0, "the playlist gave no program date time");
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
    .evaluate(() => document.getElementById("notice")?.textContent.trim() ?? document.title)
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
  check(rungs.length > 0, "the rung menu is empty");
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
    check(after.currentTime - shownAt.currentTime >= 1, `after the change to ${height}p the picture stands still`);
    switches.push({ height: Number(height), afterMs: shownAt.at - asked, latencyMs: after.latencyMs });
  }
  return switches;
}
