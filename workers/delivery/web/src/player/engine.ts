// hls.js as this player runs it.

import Hls, { type HlsConfig } from "hls.js";

import { withToken, type Source } from "./page";

/** CTA-5004 §3.1: 64 characters at most. */
const LONGEST_ID = 64;
/** For so long a rung that failed is not chosen. */
export const PENALTY_MS = 10_000;

/**
 * Names the beacon's visit in each request, so that the server takes both for
 * one viewer, and what a CDN's log is read for. `st` is left out: hls.js tells
 * a value that version 1 does not have.
 */
function cmcd(source: Source): HlsConfig["cmcd"] {
  return {
    sessionId: `m-${source.viewer}`,
    contentId: source.streamId.slice(0, LONGEST_ID),
    includeKeys: ["sid", "cid", "sf", "ot", "br", "tb", "d", "bl", "bs", "su", "mtp"],
  };
}

/** A new one; null where the browser can't run it. */
export function engine(source: Source): Hls | null {
  if (!Hls.isSupported()) return null;
  return new Hls({
    // Nothing else of timing: own playback-rate control made it stop fetching.
    lowLatencyMode: true,
    capLevelToPlayerSize: true,
    cmcd: cmcd(source),
    // For good by default: a second without the server would cost the better rungs.
    errorPenaltyExpireMs: PENALTY_MS,
    xhrSetup: (xhr, url) => {
      const asked = new URL(url, location.href);
      if (!asked.pathname.endsWith(".m3u8")) return;
      const allowed = withToken(url, source);
      if (allowed !== url) xhr.open("GET", allowed, true);
    },
  });
}
