// Where the picture is between the window's begin and the live edge, and how
// it gets elsewhere. Follows the edge until somebody goes back.

import type Hls from "hls.js";

/** Playing this long, the first parts are there and the distance to the edge is known. */
const SETTLED_MS = 700;
/** Only a gap in this range is closed at the start: less is not worth a seek, more is no start. */
const START_GAP_SECONDS = [0.1, 3] as const;
/** What stays buffered ahead when it is closed. */
const KEEP_SECONDS = 0.3;
/** So near is at the edge. */
const NEAR_SECONDS = 3;
/** One who follows and is so far behind, after a stall, is taken to the edge. */
const LOST_SECONDS = 4;
/** And not again for this long. */
const REST_MS = 10_000;

/** Sound and picture do not end together: so near is at the end. */
const END_SECONDS = 0.5;

/** In the video's own time. */
export interface Window {
  start: number;
  edge: number;
}

export class Edge {
  /** The engine in use, and null where the browser plays by itself. */
  hls: Hls | null = null;
  private following = true;
  private placed: Hls | null = null;
  private jumpedAt = -Infinity;

  constructor(private readonly video: HTMLVideoElement) {}

  /** Whether what plays still grows. */
  get live(): boolean {
    return this.hls?.latestLevelDetails?.live ?? this.video.duration === Infinity;
  }

  /** What can be watched; null while nothing is known. */
  window(): Window | null {
    const { seekable, duration } = this.video;
    if (seekable.length === 0) return null;
    const end = seekable.end(seekable.length - 1);
    const edge = this.live ? (this.hls?.liveSyncPosition ?? end) : duration;
    return Number.isFinite(edge) ? { start: seekable.start(0), edge } : null;
  }

  /** Seconds behind the edge. */
  behind(): number {
    const window = this.window();
    return window ? Math.max(0, window.edge - this.video.currentTime) : 0;
  }

  get near(): boolean {
    return this.behind() < NEAR_SECONDS;
  }

  /**
   * Nothing more comes, and what there was is shown. hls.js does not always
   * tell the browser so: not when it had the last segment in parts.
   */
  get spent(): boolean {
    const { readyState, seeking } = this.video;
    const empty = readyState <= HTMLMediaElement.HAVE_CURRENT_DATA && !seeking;
    return empty && this.hls?.latestLevelDetails?.live === false && this.behind() < END_SECONDS;
  }

  follow(): void {
    this.following = true;
    const window = this.window();
    if (window) this.video.currentTime = window.edge;
  }

  /** To a place in the window; from there on it follows only at its edge. */
  seek(to: number): void {
    const window = this.window();
    if (!window) return;
    this.video.currentTime = Math.min(window.edge, Math.max(window.start, to));
    this.following = this.near;
  }

  /** Somebody paused: they will go on from here. */
  leave(): void {
    this.following = false;
  }

  /** Goes on after a pause; at the edge where the place is no longer kept. */
  rejoin(): void {
    const window = this.window();
    if (window && this.live && (this.near || this.video.currentTime < window.start)) this.follow();
  }

  /** After a stall or an outage: back to the edge. */
  keepUp(): void {
    const { video } = this;
    if (!this.following || !this.live || video.paused || video.seeking) return;
    if (this.behind() < LOST_SECONDS || performance.now() - this.jumpedAt < REST_MS) return;
    this.jumpedAt = performance.now();
    this.follow();
  }

  /**
   * hls.js takes its place when it has the playlist, and stays as far behind
   * as its start took from then on. Once per start that is made good, by a
   * seek within what is buffered.
   */
  closeStartGap(): void {
    const { hls, video } = this;
    if (!hls || this.placed === hls) return;
    this.placed = hls;
    window.setTimeout(() => {
      if (hls !== this.hls || !this.live || video.paused || video.seeking) return;
      const at = video.currentTime;
      const target = Math.min(hls.liveSyncPosition ?? 0, at + ahead(video) - KEEP_SECONDS);
      const [least, most] = START_GAP_SECONDS;
      if (target - at >= least && target - at <= most) video.currentTime = target;
    }, SETTLED_MS);
  }
}

/** Seconds buffered from the picture shown on. */
export function ahead({ buffered, currentTime }: HTMLVideoElement): number {
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i)) {
      return buffered.end(i) - currentTime;
    }
  }
  return 0;
}
