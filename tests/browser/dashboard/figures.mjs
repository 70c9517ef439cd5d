// One stream's figures, charts and lists.
import { check, until } from "../chromium.mjs";

export async function judgeFigures(page) {
  await until("the bitrate of now is shown", 15_000, async () => /^[\d.]+ [kM]b\/s$/.test(await page.textContent('[data-tile="In"]')));
  await until("somebody publishes", 15_000, async () => !(await page.textContent('[data-tile="In"]')).startsWith("0 "));
  await until("how far behind the log is read is shown", 15_000, async () =>
    /^(\d+ ms|[\d.]+ s)$/.test(await page.textContent('[data-tile="Log lag"]')),
  );
  const titles = await page.$$eval(".chart h3", (all) => all.map((title) => title.textContent));
  check(titles.length === 6, () => `charts: ${titles.join()}`);
  await until("the charts have points", 15_000, async () => {
    const words = await page.$$eval(".chart .newest", (all) => all.map((newest) => newest.textContent));
    return words[0] !== "" && /In [\d.]+ [kM]b\/s/.test(words[1]);
  });
  const asked = page.waitForRequest((request) => request.url().includes("/metrics/range?"));
  await page.check('.ranges input[value="3600"]', { force: true });
  const range = new URL((await asked).url()).searchParams;
  check(Date.parse(range.get("to")) - Date.parse(range.get("from")) === 3_600_000, "an hour is not an hour");
  await page.check('.ranges input[value="900"]', { force: true });
  await until("what happened is told", 15_000, async () => (await page.textContent(".timeline")).includes("Broadcast started"));
  await until("the broadcast is listed", 10_000, async () => (await page.textContent("section:has(#section-broadcasts)")).includes("Live"));
  const drawn = await page.$$eval(".chart canvas", (all) =>
    all.map((canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0)),
  );
  check(drawn.length === 6 && drawn[0] && drawn[1], "a chart is blank");
  return page.$$eval("[data-tile]", (all) => Object.fromEntries(all.map((tile) => [tile.dataset.tile, tile.textContent])));
}
