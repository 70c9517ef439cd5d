// Tells the server that somebody watches, what, and how well: when it begins,
// every 10 s, and when it ends. The viewer is a random name of this visit:
// nothing about the person.

const PERIOD_MS = 10_000;
/** The server has forgotten a viewer it did not hear of for this long. */
const FORGOTTEN_MS = 30_000;
/** How often it is looked whether the picture moves. */
const LOOK_MS = 1_000;

export interface Presence {
  rendition: string | null;
  latencyMs: number | null;
  stalls: number;
  droppedFrames: number;
}

type Happened = "join" | "heartbeat" | "leave";

/** One visit: its name, what it began with, and what it has watched since. */
class Visit {
  readonly viewer = randomName();
  sentAt = -Infinity;
  private watchMs = 0;
  private lookedAt = performance.now();

  constructor(private readonly before: Presence) {}

  /** The picture has moved since the last look, or not. */
  look(playing: boolean): void {
    const now = performance.now();
    if (playing) this.watchMs += now - this.lookedAt;
    this.lookedAt = now;
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

/** Starts the beacon; `presence` answers null while nothing plays. */
export function startBeacon(streamId: string, presence: () => Presence | null): void {
  const url = `/hls/${streamId}/beacon`;
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
    if (visit && performance.now() - visit.sentAt > FORGOTTEN_MS) visit = null;
    visit?.look(now !== null);
    if (!now) return;
    if (!visit) {
      // The player starts its counts anew with another broadcast.
      visit = new Visit(now);
      send("join", now);
    } else if (now.rendition !== last?.rendition || performance.now() - visit.sentAt >= PERIOD_MS) {
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

function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
