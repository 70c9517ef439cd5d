// The player in a page of another origin, as docs/embed.md has it.
import { createServer } from "node:http";

import { check, pause, until } from "../chromium.mjs";
import { read } from "./read.mjs";
import { listen } from "./requests.mjs";

export async function judgeEmbedding(page, url, shoot) {
  const embed = url.replace("/watch/", "/embed/");
  const server = createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(host(request.url === "/watch" ? url : embed));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    // Another host name is another site to the browser.
    const address = `http://localhost:${server.address().port}`;
    const { beacons } = listen(page);
    await page.goto(`${address}/embed`);
    const frame = await until("the frame is there", 5_000, () => page.frames().find((f) => f.url().startsWith(embed)));
    await until("the embedded player plays", 10_000, async () => {
      const now = await read(frame).catch(() => null);
      return now?.state === "live" && now.currentTime > 1;
    });
    await until("its beacon joins", 5_000, () => beacons.length > 0);
    await shoot(page, "embed");
    const told = () => page.evaluate(() => window.told.at(-1));
    await until("the page around is told of it", 3_000, async () => (await told())?.state === "live");
    await order(page, "mute");
    await until("it mutes when told so", 3_000, async () => (await told()).muted);
    await order(page, "pause");
    await until("it pauses when told so", 3_000, async () => (await told()).paused && (await read(frame)).paused);
    await order(page, "play");
    await until("it plays when told so", 3_000, async () => !(await told()).paused);

    await page.goto(`${address}/watch`);
    await pause(1_000);
    const framed = page.frames().find((f) => f.url() === url);
    const shown = framed ? await framed.$("#player").catch(() => null) : null;
    check(!shown, "the page with controls for visitors lets others frame it");
  } finally {
    server.close();
  }
}

function order(page, what) {
  return page.evaluate((what) => document.querySelector("iframe").contentWindow.postMessage({ millrace: what }, "*"), what);
}

function host(frame) {
  return `<!doctype html><meta charset="utf-8"><title>A page of somebody else</title>
    <body style="font-family: serif; background: #fff"><h1>Our evening, live</h1>
    <iframe src="${frame}" width="800" height="450" style="border: 0" allow="autoplay; fullscreen" title="Live video"></iframe>
    <script>
      window.told = [];
      addEventListener("message", (message) => message.data.millrace && told.push(message.data));
    </script>`;
}
