// Plays an HLS stream with hls.js in plain lowLatencyMode, in headless Chromium, and says when each
// picture was on the screen, by the number that is burnt in, and when each part came.
//
//   node glass.mjs --url PLAYLIST_URL [--seconds 20] [--starts 1] [--screenshots FOLDER]
//
// Prints JSON; times are µs since 1970. Exit 1 with the reason on stderr when nothing plays.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { pause, run, until } from "./chromium.mjs";

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    seconds: { type: "string", default: "20" },
    starts: { type: "string", default: "1" },
    screenshots: { type: "string" },
  },
});
if (!options.url) {
  console.error("usage: node glass.mjs --url PLAYLIST_URL [--seconds N] [--starts N]");
  process.exit(2);
}
const HLS_JS = new URL("../../workers/delivery/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
/** After the first picture: what a start costs is no part of how it goes on. */
const SETTLE_MS = 5_000;
const START_MS = 20_000;

const site = await serve();
const summary = { url: options.url, runs: [] };
await run({ screenshots: options.screenshots, summary }, async ({ open, shoot }) => {
  for (let start = 0; start < Number(options.starts); start += 1) {
    // Not every start at the same place between two keyframes.
    await pause(Math.random() * 1_000);
    const page = await open(1280, 720);
    await begin(page);
    await until("video to start", START_MS, async () => {
      summary.last = await page.evaluate(() => window.glass.state());
      return summary.last.time > 0 && summary.last.frames > 0;
    });
    await pause(SETTLE_MS);
    await page.evaluate(() => window.glass.record());
    await pause(Number(options.seconds) * 1_000);
    await shoot(page, "glass");
    summary.runs.push(await page.evaluate(() => window.glass.read()));
    await page.close();
  }
  delete summary.last;
});
site.close();

async function begin(page) {
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await page.evaluate(play, options.url);
}

/** A page with a video and hls.js, of an origin of its own. */
async function serve() {
  const script = await readFile(HLS_JS);
  const html = `<!doctype html><body style="margin:0;background:#000">
    <video muted playsinline style="width:100%;height:100vh"></video><script src="/hls.js"></script>`;
  const server = createServer(({ url }, response) => {
    const [type, body] = url === "/hls.js" ? ["text/javascript", script] : ["text/html", html];
    response.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return server;
}

/** In the page. */
function play(url) {
  // As in tests/harness/src/counter.rs.
  const BITS = 20;
  const SAMPLE = 8;
  const CLEAR = 80;
  const video = document.querySelector("video");
  const canvas = document.createElement("canvas");
  canvas.width = BITS * SAMPLE;
  canvas.height = 2 * SAMPLE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const said = [];
  const seen = { shown: [], fetched: [], stalls: 0, errors: [] };
  let dropped = 0;
  let recording = false;
  const us = (performanceMs) => Math.round((Date.now() - performance.now() + performanceMs) * 1_000);

  const number = () => {
    const { videoWidth: width } = video;
    context.drawImage(video, 0, 0, width / 2, width / 20, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const green = (row) => data[((row * SAMPLE + SAMPLE / 2) * canvas.width + bit * SAMPLE + SAMPLE / 2) * 4 + 1];
      if (Math.abs(green(0) - green(1)) < CLEAR) return null;
      if (green(0) > green(1)) found += 2 ** bit;
    }
    return found;
  };
  const frame = (_, { expectedDisplayTime }) => {
    video.requestVideoFrameCallback(frame);
    if (!recording) return;
    const at = us(expectedDisplayTime);
    const shown = number();
    if (shown !== null) seen.shown.push({ number: shown, at });
  };
  video.requestVideoFrameCallback(frame);
  video.addEventListener("waiting", () => (seen.stalls += 1));

  const hls = new Hls({ lowLatencyMode: true });
  const listed = new Map();
  // Of a rung and its name, as in the URL.
  const name = (part) => new URL(part.url).pathname.split("/").slice(-2).join("/");
  hls.on(Hls.Events.LEVEL_LOADED, (_, { details, stats }) => {
    for (const part of details.partList ?? []) {
      if (!listed.has(name(part))) listed.set(name(part), us(stats.loading.end));
    }
  });
  hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag, part, stats }) => {
    if (!recording || !part || frag.type !== "main") return;
    seen.fetched.push({
      name: name(part),
      listed: listed.get(name(part)) ?? us(stats.loading.start),
      loaded: us(stats.loading.end),
      appended: us(stats.buffering.end),
    });
  });
  hls.on(Hls.Events.ERROR, (_, { fatal, details }) => {
    if (fatal) seen.errors.push(details);
    else said.push(details);
  });
  hls.attachMedia(video);
  hls.loadSource(url);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());

  window.glass = {
    state: () => ({
      time: video.currentTime,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      paused: video.paused,
      ready: video.readyState,
      buffered: Array.from({ length: video.buffered.length }, (_, at) => [video.buffered.start(at), video.buffered.end(at)]),
      errors: seen.errors,
      said: said.slice(-10),
    }),
    record: () => {
      recording = true;
      seen.stalls = 0;
      dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
    },
    read: () => ({
      ...seen,
      dropped: video.getVideoPlaybackQuality().droppedVideoFrames - dropped,
      height: video.videoHeight,
      target: hls.targetLatency,
    }),
  };
}
