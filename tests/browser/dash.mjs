// Plays a DASH manifest with dash.js, as it is without settings, in headless Chromium.
//
//   node dash.mjs --url MANIFEST_URL [--seconds 15] [--screenshots FOLDER]
//
// It says a line when the publisher is to do something, "reconnect" and then "end"; and a JSON
// summary at last. Exit 0 when video started, kept playing with sound in low-latency mode, changed
// its rung, went on in the Period after the reconnect, and came to its end in a static manifest;
// else 1 with the reason on stderr.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { check, pause, run, until as reached } from "./chromium.mjs";
import { round, spread } from "./figures.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    seconds: { type: "string", default: "15" },
    screenshots: { type: "string" },
  },
});
if (!options.url) {
  console.error("usage: node dash.mjs --url MANIFEST_URL [--seconds N] [--screenshots FOLDER]");
  process.exit(2);
}
const SECONDS = Number(options.seconds);
const SAMPLE_MS = 250;
/** Whatever is waited for comes within this time. */
const PATIENCE_MS = 40_000;
const DASH_JS = fileURLToPath(
  new URL("node_modules/dashjs/dist/modern/umd/dash.all.min.js", import.meta.url),
);
/** Nearer than players come that take whole segments of two seconds. */
const NEAR_SECONDS = 4;

const summary = { url: options.url, errors: [] };
await run({ screenshots: options.screenshots, summary }, async ({ open, shoot }) => {
  const page = await open(1280, 800);
  await judgePlaying(page, shoot);
  summary.switches = await switchRungs(page);
  await reconnect(page);
  await end(page);
});

async function judgePlaying(page, shoot) {
  const opened = Date.now();
  await begin(page);
  const first = await until(page, "video to start", (now) => now.time > 0 && now.frames > 0);
  summary.startupMs = Date.now() - opened;

  const samples = [];
  for (const end = Date.now() + SECONDS * 1_000; Date.now() < end; ) {
    await pause(SAMPLE_MS);
    samples.push(await read(page));
  }
  const last = samples.at(-1);
  summary.watchedSeconds = round((last.at - first.at) / 1_000);
  summary.playedSeconds = round(last.time - first.time);
  summary.stalls = last.stalls;
  summary.latencySeconds = spread(samples.map((sample) => sample.latency));
  summary.targetLatencySeconds = last.target;
  summary.lowLatency = last.lowLatency;
  await shoot(page, "dash");
  check(
    summary.playedSeconds >= summary.watchedSeconds * 0.8,
    `played ${summary.playedSeconds} s in ${summary.watchedSeconds} s`,
  );
  check(last.audioBytes > first.audioBytes, "no audio was decoded");
  check(last.lowLatency, "dash.js does not take it for low latency");
  const { p50 } = summary.latencySeconds;
  check(p50 <= NEAR_SECONDS, `${p50} s behind: no nearer than with whole segments`);
}

/** A page with a video and dash.js, of no origin at all. */
async function begin(page) {
  await page.setContent(
    `<body style="margin:0;background:#000"><video muted style="width:100%;height:800px"></video>`,
  );
  await page.addScriptTag({ path: DASH_JS });
  await page.evaluate((url) => {
    const video = document.querySelector("video");
    const player = dashjs.MediaPlayer().create();
    const seen = { stalls: 0, periods: [], errors: [] };
    Object.assign(window, { player, seen });
    video.addEventListener("waiting", () => (seen.stalls += 1));
    const { events } = dashjs.MediaPlayer;
    player.on(events.PERIOD_SWITCH_COMPLETED, (e) => seen.periods.push(e.toStreamInfo?.id ?? ""));
    player.on(events.ERROR, (e) => seen.errors.push(`${e.error?.code} ${e.error?.message}`));
    player.initialize(video, url, true);
  }, options.url);
}

/** What the player shows now. */
async function read(page) {
  const now = await page.evaluate(() => {
    const video = document.querySelector("video");
    const { player, seen } = window;
    return {
      at: Date.now(),
      time: video.currentTime,
      ended: video.ended,
      duration: player.isReady() ? player.duration() : NaN,
      buffered: video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0,
      height: video.videoHeight,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      audioBytes: video.webkitAudioDecodedByteCount ?? 0,
      latency: player.isReady() ? player.getCurrentLiveLatency() : NaN,
      target: player.isReady() ? player.getTargetLiveDelay() : NaN,
      lowLatency: player.getLowLatencyModeEnabled(),
      dynamic: player.isReady() ? player.isDynamic() : true,
      ...seen,
    };
  });
  summary.errors = now.errors.slice(0, 20);
  return now;
}

/** Waits until something holds of what is shown. */
function until(page, what, holds) {
  return reached(what, PATIENCE_MS, async () => {
    const now = await read(page);
    summary.last = now;
    return holds(now) ? now : null;
  });
}

/** Waits until the picture has moved on by some seconds. */
function plays(page, from, seconds) {
  return until(page, `${seconds} s to be played`, (now) => now.time > from.time + seconds);
}

/** Chooses each rung and waits for a picture of its height. */
async function switchRungs(page) {
  const heights = await page.evaluate(() => {
    window.player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
    return window.player.getRepresentationsByType("video").map((rung) => rung.height);
  });
  const switches = [];
  for (const height of [...heights, heights[0]]) {
    const asked = Date.now();
    await page.evaluate((height) => {
      const rungs = window.player.getRepresentationsByType("video");
      const chosen = rungs.find((rung) => rung.height === height);
      window.player.setRepresentationForTypeById("video", chosen.id);
    }, height);
    const shown = await until(page, `a picture of ${height} lines`, (now) => now.height === height);
    await plays(page, shown, 2);
    switches.push({ height, afterMs: shown.at - asked });
  }
  return switches;
}

/** The publisher goes and comes back: playback goes on in another Period. */
async function reconnect(page) {
  const before = await read(page);
  console.log("reconnect");
  const next = await until(page, "the next Period", (now) => now.periods.length > before.periods.length);
  const after = await plays(page, next, 5);
  summary.periods = after.periods;
  summary.latencyAfterSeconds = round(after.latency);
}

/**
 * The publisher ends: the manifest is static, and what is left is played. dash.js 5.2 does not end
 * the video where there is more than one Period: it asks whether this is the last one before it
 * has read the static manifest.
 */
async function end(page) {
  console.log("end");
  await until(page, "a static manifest", (now) => !now.dynamic);
  const all = (now) => now.ended || (now.time > now.buffered - 0.5 && now.buffered > now.duration - 0.5);
  const now = await until(page, "the end", all);
  summary.durationSeconds = round(now.duration);
  delete summary.last;
}
