// Tells the server every 10 s that somebody watches, what, and how well.
// The viewer is a random number of this page view: nothing about the person.

const PERIOD_MS = 10_000;

export interface Presence {
  rendition: string | null;
  latencyMs: number | null;
  stalls: number;
  droppedFrames: number;
}

/** Starts the beacon; `presence` answers null while nothing plays. */
export function startBeacon(streamId: string, presence: () => Presence | null): void {
  const viewer = randomName();
  const url = `/hls/${streamId}/beacon`;
  const send = () => {
    const now = presence();
    if (!now) return;
    const body = JSON.stringify({ viewer, ...now });
    // A lost beacon is the next one's business.
    fetch(url, {
      method: "POST",
      body,
      keepalive: true,
      headers: { "content-type": "application/json" },
    }).catch(() => undefined);
  };
  setTimeout(send, 1_000);
  setInterval(send, PERIOD_MS);
}

function randomName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
