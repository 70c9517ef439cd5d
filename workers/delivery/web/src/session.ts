// One stream's playback over its broadcasts: starts hls.js, and starts it
// again when the stream was offline, broke, ended, or went on under a new
// broadcast. Knows states, not the page.

import Hls, { ErrorTypes, Events, type ErrorData } from "hls.js";

import { ahead } from "./stats";

export type State = "connecting" | "live" | "waiting" | "offline" | "ended" | "retrying" | "unsupported";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;
const ENDED_POLL_MS = 3_000;
/** Playing this long, the first parts are there and the distance to the edge is known. */
const SETTLED_MS = 700;
/** Only a gap in this range is closed at the start: less is not worth a seek, more is no start. */
const START_GAP_SECONDS = [0.1, 3] as const;
/** What stays buffered ahead when it is closed. */
const KEEP_SECONDS = 0.3;

export class Session {
  hls: Hls | null = null;
  state: State = "connecting";
  stalls = 0;
  readonly index: string;

  private retries = 0;
  private timer: number | undefined;
  private placed: Hls | null = null;
  private recoveredAt = 0;
  private broadcast: string | null = null;
  private chosenHeight: number | null = null;

  constructor(
    readonly streamId: string,
    private readonly video: HTMLVideoElement,
    private readonly changed: () => void,
  ) {
    this.index = `/hls/${streamId}/index.m3u8`;
    video.addEventListener("playing", () => {
      this.retries = 0;
      this.become("live");
      this.closeStartGap();
    });
    video.addEventListener("waiting", () => {
      if (this.state !== "live" || video.seeking) return;
      this.stalls += 1;
      this.become("waiting");
    });
    video.addEventListener("ended", () => this.over());
  }

  start(): void {
    this.stop();
    if (!Hls.isSupported()) return this.startNative();
    // Nothing but low latency mode: own playback-rate control made it stop
    // fetching.
    const hls = new Hls({ lowLatencyMode: true });
    this.hls = hls;
    hls.on(Events.ERROR, (_, data) => this.failed(hls, data));
    hls.on(Events.MANIFEST_PARSED, (_, data) => {
      this.broadcast = broadcastOf(data.levels[0]?.url[0] ?? "");
      if (this.chosenHeight !== null) this.applyChoice();
      this.changed();
      void this.play();
    });
    hls.on(Events.LEVEL_SWITCHED, () => this.changed());
    hls.loadSource(this.index);
    hls.attachMedia(this.video);
  }

  /** Plays with sound where the browser lets us, else muted. */
  async play(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotAllowedError" && !this.video.muted) {
        this.video.muted = true;
        await this.video.play().catch(() => undefined);
      }
    }
  }

  /** Stays on the rung of this height, or chooses freely (null). */
  choose(height: number | null): void {
    this.chosenHeight = height;
    this.applyChoice();
  }

  goLive(): void {
    const edge = this.hls?.liveSyncPosition;
    if (edge) this.video.currentTime = edge;
    void this.play();
  }

  /**
   * hls.js takes its place when it has the playlist, and stays as far behind
   * as its start took from then on. Once per start that is made good, by a
   * seek within what is buffered.
   */
  private closeStartGap(): void {
    const hls = this.hls;
    if (!hls || this.placed === hls) return;
    this.placed = hls;
    window.setTimeout(() => {
      const { video } = this;
      if (hls !== this.hls || video.paused || video.seeking) return;
      const at = video.currentTime;
      const target = Math.min(hls.liveSyncPosition ?? 0, at + ahead(video) - KEEP_SECONDS);
      const [least, most] = START_GAP_SECONDS;
      if (target - at >= least && target - at <= most) video.currentTime = target;
    }, SETTLED_MS);
  }

  private applyChoice(): void {
    const hls = this.hls;
    if (!hls) return;
    hls.nextLevel =
      this.chosenHeight === null ? -1 : hls.levels.findIndex((l) => l.height === this.chosenHeight);
  }

  private startNative(): void {
    if (!this.video.canPlayType("application/vnd.apple.mpegurl")) return this.become("unsupported");
    this.video.onerror = () => this.retry("offline");
    this.video.src = this.index;
    void this.play();
  }

  private failed(hls: Hls, data: ErrorData): void {
    if (!data.fatal || hls !== this.hls) return;
    if (data.type === ErrorTypes.MEDIA_ERROR && performance.now() - this.recoveredAt > 5_000) {
      this.recoveredAt = performance.now();
      hls.recoverMediaError();
      return;
    }
    this.retry(data.response?.code === 404 ? "offline" : "retrying");
  }

  /** Starts anew after a pause that doubles up to 5 s, with jitter. */
  private retry(shown: State): void {
    this.stop();
    this.become(shown);
    const pause = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.retries);
    this.retries += 1;
    this.timer = window.setTimeout(() => this.start(), pause * (0.75 + Math.random() / 2));
  }

  /** The broadcast is over: looks for a new one under the same URL. */
  private over(): void {
    this.become("ended");
    const look = async () => {
      try {
        const text = await (await fetch(this.index, { cache: "no-store" })).text();
        const now = broadcastOf(text);
        if (now && now !== this.broadcast) return this.start();
      } catch {
        // Looked for again below.
      }
      this.timer = window.setTimeout(look, ENDED_POLL_MS);
    };
    clearTimeout(this.timer);
    this.timer = window.setTimeout(look, ENDED_POLL_MS);
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.hls?.destroy();
    this.hls = null;
  }

  private become(state: State): void {
    this.state = state;
    this.changed();
  }
}

/** The broadcast id in a media playlist's URL, wherever it stands in `text`. */
function broadcastOf(text: string): string | null {
  return /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(text)?.[0] ?? null;
}
