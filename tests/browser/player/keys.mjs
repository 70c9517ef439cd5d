// The player by keyboard alone.
import { check, until } from "../chromium.mjs";
import { read } from "./read.mjs";

export async function judgeKeys(page, shoot) {
  // Focus is nowhere, as on a page just opened.
  await page.evaluate(() => document.activeElement?.blur());
  const press = (key) => page.keyboard.press(key);
  const becomes = (what, holds) => until(what, 5_000, async () => holds(await read(page)));

  const { muted } = await read(page);
  await press("m");
  await becomes("m turns sound off or on", (now) => now.muted !== muted);
  if (!muted) await press("m");
  await press("ArrowDown");
  await becomes("↓ is quieter", (now) => now.volume < 0.95 && !now.muted);
  await press("ArrowUp");

  await press("s");
  await page.waitForSelector("#figures:not([hidden])", { timeout: 2_000 });
  await until("figures are shown", 3_000, async () => (await page.textContent("#figures")).includes("Mb/s"));
  await press("?");
  await page.waitForSelector("#help[open]", { timeout: 2_000 });
  await shoot(page, "player-help");
  await press("Escape");
  await page.waitForSelector("#help:not([open])", { state: "attached", timeout: 2_000 });
  await shoot(page, "player-figures");
  await press("s");

  await press("k");
  await becomes("k pauses", (now) => now.paused);
  await shoot(page, "player-paused");
  await press(" ");
  await becomes("space plays", (now) => !now.paused && now.state === "live");

  await until("there is a window to go back in", 30_000, () => page.isEnabled("#seek"));
  await press("ArrowLeft");
  await press("ArrowLeft");
  await becomes("← goes back", (now) => now.edge === "behind");
  await shoot(page, "player-behind");
  await press("l");
  await becomes("l goes to the live edge", (now) => now.edge === "edge" && now.state === "live");

  const order = await tabOrder(page);
  const wanted = ["seek", "play", "mute", "volume", "golive", "rungs", "stats", "keys", "full"];
  check(order.join() === wanted.join(), () => `the tab key goes to ${order.join()}`);
  const unnamed = await page.$$eval("#bar :is(button, input, select)", (all) =>
    all.filter((e) => !(e.ariaLabel || e.labels?.[0]?.textContent.trim())).map((e) => e.id),
  );
  check(unnamed.length === 0, () => `without a name: ${unnamed.join()}`);
}

/** Ids of the controls in the order in which the tab key comes to them. */
async function tabOrder(page) {
  await page.evaluate(() => document.querySelector(".brand")?.focus());
  const order = [];
  for (let i = 0; i < 20; i += 1) {
    await page.keyboard.press("Tab");
    const id = await page.evaluate(() => document.activeElement?.id ?? "");
    if (!id) break;
    order.push(id);
  }
  return order;
}
