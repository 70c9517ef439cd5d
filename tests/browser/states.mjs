// Opens a player page in headless Chromium and tells what it shows.
//
//   node states.mjs --url PLAYER_URL [--screenshots FOLDER]
//
// Prints {"state","broadcast"} as a line of JSON whenever either changes, until
// standard input ends. "live" is told once the picture has moved.
import { parseArgs } from "node:util";

import { pause, run } from "./chromium.mjs";

const { values: options } = parseArgs({ options: { url: { type: "string" }, screenshots: { type: "string" } } });
if (!options.url) {
  console.error("usage: node states.mjs --url PLAYER_URL [--screenshots FOLDER]");
  process.exit(2);
}

let over = false;
process.stdin.resume().on("end", () => {
  over = true;
});

await run({ screenshots: options.screenshots, summary: { url: options.url } }, async ({ open, shoot }) => {
  const page = await open(1280, 800);
  await page.goto(options.url);
  let told = "";
  let at = -1;
  while (!over) {
    const { state, broadcast, frames } = await page.evaluate(() => {
      const { state, broadcast, totalFrames } = window.millrace.stats();
      return { state, broadcast, frames: totalFrames };
    });
    const moves = frames > at && at >= 0;
    at = frames;
    const now = JSON.stringify({ state, broadcast });
    if (now !== told && (state !== "live" || moves)) {
      told = now;
      console.log(now);
      await shoot(page, `state-${state}`);
    }
    await pause(100);
  }
});
