// Tells the server that somebody watches, what, and how well: when it begins,
// every 10 s, and when it ends. Requests for media name the same visit by CMCD.

import { withToken, type Source } from "./page";

const PERIOD_MS = 10_000;
/** The server has forgotten a viewer it did not hear of for this long; who pauses so long leaves. */
const FORGOTTEN_MS = 30_000;
/** How often it is looked whether the picture moves. */
const LOOK_MS = 1_000;

export interface Presence {
  broadcast: string | null;
  /** The picture moves; else it is waited for. */
  moves: boolean;
  rendition: string | null;
  latencyMs: number | null;
  stalls: number;
  droppedFrames: number;
}

type Happened = "join" | "heartbeat" | "leave";

/** One visit: what it began with, and what it has watched since. */
class Visit {
  sentAt = -Infinity;
  presentAt = performance.now();
  private watchMs = 0;
  private lookedAt = performance.now();

  constructor(private readonly viewer: string, readonly before: Presence) {}

  look(now: Presence | null): void {
    const at = performance.now();
    if (now?.moves) this.watchMs += at - this.lookedAt;
    if (now) this.presentAt = at;
    this.lookedAt = at;
  }

  body(event: Happened, now: Presence): string {
    return JSON.stringify({
      event,
      viewer: this.viewer,
      rendition: now.rendition,
      latencyMs: now.latencyMs,
      stalls: since(this.before.stalls, now.stalls),
      droppedFrames: since(this.before.droppedFrames, now.droppedFrames),
      watchMs: Math.round(this.watchMs),
    });
  }
}

/** Starts the beacon; `presence` answers null while nobody watches. */
export function startBeacon(source: Source, presence: () => Presence | null): void {
  const url = withToken(`/hls/${source.streamId}/beacon`, source);
  let visit: Visit | null = null;
  let last: Presence | null = null;

  const send = (event: Happened, now: Presence) => {
    if (!visit) return;
    visit.sentAt = performance.now();
    // A lost beacon is the next one's business.
    fetch(url, {
      method: "POST",
      body: visit.body(event, now),
      keepalive: true,
      headers: { "content-type": "application/json" },
    }).catch(() => undefined);
  };

  const look = () => {
    const now = presence();
    const at = performance.now();
    if (visit && last && at - visit.presentAt > FORGOTTEN_MS) {
      send("leave", last);
      visit = null;
    }
    visit?.look(now);
    if (!now) return;
    // Another broadcast is another visit, and after a long silence too.
    const goesOn = visit && visit.before.broadcast === now.broadcast && at - visit.sentAt <= FORGOTTEN_MS;
    if (!visit || !goesOn) {
      visit = new Visit(source.viewer, now);
      send("join", now);
    } else if (now.rendition !== last?.rendition || at - visit.sentAt >= PERIOD_MS) {
      send("heartbeat", now);
    }
    last = now;
  };

  const leave = () => {
    if (visit && last) navigator.sendBeacon(url, visit.body("leave", presence() ?? last));
    // A page that is shown again from the browser's cache is another visit.
    visit = null;
  };

  setInterval(look, LOOK_MS);
  window.addEventListener("pagehide", leave);
}

/** What was added since the visit began; all of it if the count began anew. */
function since(before: number, now: number): number {
  return now >= before ? now - before : now;
}
