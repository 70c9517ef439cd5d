// Media that no decoder takes, for a moment and for some seconds: a proxy that mangles, a bad cache.
import { check, pause, until } from "../chromium.mjs";
import { read } from "./read.mjs";

const DAMAGED_MS = [400, 4_000];
/** It plays again within this time. */
const BACK_MS = 30_000;
const MEDIA = "**/*.m4s*";

export async function judgeDamage(page) {
  const repaired = [];
  for (const ms of DAMAGED_MS) repaired.push(await damage(page, ms));
  return repaired;
}

async function damage(page, ms) {
  const before = await read(page);
  let damaged = 0;
  await page.route(MEDIA, async (route) => {
    const response = await route.fetch();
    const body = await response.body();
    // The boxes stay, what is in them does not.
    const mdat = body.indexOf("mdat");
    if (mdat >= 0) body.fill(0xff, mdat + 4);
    damaged += 1;
    await route.fulfill({ response, body });
  });
  await pause(ms);
  await page.unrouteAll({ behavior: "ignoreErrors" });
  check(damaged > 0, "nothing was damaged");
  const since = Date.now();
  const during = await read(page);
  await until(`it plays at the edge again after ${ms} ms of damaged media`, BACK_MS, async () => {
    const now = await read(page);
    return now.state === "live" && now.edge === "edge" && !now.paused && now.currentTime > during.currentTime + 2;
  });
  return { damaged, said: during.state, afterMs: Date.now() - since, stalls: during.stalls - before.stalls };
}
