// Ten seconds without a network.
import { check, pause, until } from "../chromium.mjs";
import { read } from "./read.mjs";

const AWAY_MS = 10_000;
/** It plays again within this time. */
const BACK_MS = 15_000;

export async function judgeOutage(page) {
  const before = await read(page);
  const context = page.context();
  await context.setOffline(true);
  await pause(AWAY_MS);
  const during = await read(page);
  check(during.currentTime - before.currentTime < AWAY_MS / 1000, "the network was not away");
  await context.setOffline(false);
  const since = Date.now();
  const after = await until("it plays at the edge again", BACK_MS, async () => {
    const now = await read(page);
    return now.state === "live" && now.edge === "edge" && now.currentTime > during.currentTime + 1 && now;
  });
  return { said: during.state, afterMs: Date.now() - since, latencyMs: after.latencyMs, stalls: after.stalls - before.stalls };
}
