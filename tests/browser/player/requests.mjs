// What a player says of itself: CMCD (CTA-5004) in requests, and the beacon.
import { check } from "../chromium.mjs";

/** Collects requests from now on. */
export function listen(page) {
  const asked = { beacons: [], media: [], silent: [] };
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.pathname.endsWith("/beacon")) asked.beacons.push(JSON.parse(request.postData() ?? "{}"));
    else if (/\/(media\.m3u8|[^/]+\.(m4s|mp4))$/.test(url.pathname)) {
      const cmcd = url.searchParams.get("CMCD");
      if (cmcd) asked.media.push(cmcd);
      else asked.silent.push(url.pathname);
    }
  });
  return asked;
}

/** Every request names the visit, and the beacon names the same. */
export async function judgeRequests(page, { beacons, media, silent }) {
  const viewer = await page.evaluate(() => window.millrace.viewer);
  check(silent.length === 0, () => `requests without CMCD: ${silent.slice(0, 3).join(" ")}`);
  const other = media.find((cmcd) => !cmcd.includes(`sid="m-${viewer}"`) || !cmcd.includes('cid="'));
  check(!other, () => `a request of another visit: ${other}`);
  check(media.some((cmcd) => /\bot=v\b/.test(cmcd)) && media.some((cmcd) => /\bbr=\d/.test(cmcd)), () => `CMCD without object and bitrate: ${media[0]}`);
  check(beacons[0]?.event === "join", "the first beacon is no join");
  check(beacons.every((beacon) => beacon.viewer === viewer), "a beacon of another visit");
  return { withCmcd: media.length, beacons: beacons.length, example: media.at(-1) };
}
