// One stream's playback over its broadcasts: starts hls.js, and starts it
// again when the stream was offline, broke, ended, or went on under a new
// broadcast. Knows states, not the page.

import { ErrorDetails, ErrorTypes, Events, type ErrorData } from "hls.js";
import type Hls from "hls.js";

import { Edge } from "./edge";
import { engine, PENALTY_MS } from "./engine";
import { withToken, type Source } from "./page";

export type State =
  | "connecting" | "live" | "waiting" | "replay" | "offline" | "ended" | "retrying" | "refused" | "unsupported";

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;
const ENDED_POLL_MS = 3_000;
const LOOK_MS = 10_000;
/** A link that does not let in is tried again so seldom. */
const REFUSED_MS = 30_000;
/** A second error of the decoder in this time is no accident. */
const RECOVERED_MS = 5_000;
/** Paused for so long nothing more is fetched. */
const IDLE_MS = 30_000;

export class Session {
  state: State = "connecting";
  stalls = 0;
  /** The broadcast that plays or played. */
  broadcast: string | null = null;
  /** A broadcast after the one that is over has begun. */
  newer = false;
  readonly edge: Edge;

  private hls: Hls | null = null;
  private retries = 0;
  private timer: number | undefined;
  private looking: number | undefined;
  private idle: number | undefined;
  private dozing = false;
  private recoveredAt = 0;
  private failedAt = 0;
  /** It is to play: a new source pauses the picture, and tells nobody. */
  private wanted = false;
  private chosenHeight: number | null = null;
  private readonly index: string;

  constructor(
    private readonly source: Source,
    private readonly video: HTMLVideoElement,
    private readonly changed: () => void,
  ) {
    this.index = withToken(`/hls/${source.streamId}/index.m3u8`, source);
    this.edge = new Edge(video);
    video.addEventListener("playing", () => this.plays());
    video.addEventListener("waiting", () => this.waits());
    // A decoder that gives up ends and pauses it too; that is nobody's will, and not the end.
    video.addEventListener("ended", () => {
      if (!video.error && !this.edge.live) this.over();
    });
    video.addEventListener("pause", () => {
      if (video.error || video.ended) return;
      this.wanted = false;
      clearTimeout(this.idle);
      this.idle = window.setTimeout(() => this.doze(), IDLE_MS);
    });
    video.addEventListener("play", () => {
      this.wanted = true;
      this.wake();
    });
    window.addEventListener("online", () => {
      if (this.state === "retrying") this.again();
    });
  }

  get engine(): Hls | null {
    return this.hls;
  }

  start(): void {
    this.stop();
    this.newer = this.dozing = false;
    this.broadcast = null;
    const hls = engine(this.source);
    if (!hls) return this.startNative();
    this.hls = this.edge.hls = hls;
    hls.on(Events.ERROR, (_, data) => this.failed(hls, data));
    hls.on(Events.MANIFEST_PARSED, (_, data) => {
      this.broadcast = broadcastOf(data.levels[0]?.url[0] ?? "");
      if (this.chosenHeight !== null) this.applyChoice();
      this.become("connecting");
      void this.play();
    });
    hls.on(Events.MEDIA_ATTACHED, () => {
      if (this.wanted && hls === this.hls) void this.play();
    });
    hls.on(Events.LEVEL_SWITCHED, () => this.changed());
    // The outage was over before the buffer was.
    hls.on(Events.FRAG_BUFFERED, () => {
      if (this.state === "retrying" && this.video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) this.plays();
    });
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
    this.changed();
  }

  toggle(): void {
    if (this.state === "ended") {
      this.start();
    } else if (!this.video.paused) {
      this.edge.leave();
      this.video.pause();
    } else {
      this.edge.rejoin();
      void this.play();
    }
  }

  goLive(): void {
    if (this.newer) return this.start();
    this.edge.follow();
    void this.play();
  }

  /** Stays on the rung of this height, or chooses freely (null). */
  choose(height: number | null): void {
    this.chosenHeight = height;
    this.applyChoice();
  }

  stop(): void {
    this.letGo()?.destroy();
  }

  private letGo(): Hls | null {
    clearTimeout(this.timer);
    clearTimeout(this.looking);
    const { hls } = this;
    this.hls = this.edge.hls = null;
    return hls;
  }

  /** In an event of the engine, which goes on afterwards and must find itself whole. */
  private stopSoon(): void {
    const hls = this.letGo();
    setTimeout(() => hls?.destroy());
  }

  private plays(): void {
    this.retries = 0;
    if (this.edge.live) {
      this.become("live");
      this.edge.closeStartGap();
    } else {
      this.become("replay");
      this.lookForNewer();
    }
  }

  /** To be called twice a second or so. */
  tick(): void {
    this.edge.keepUp();
    // It ended while somebody watched what is further back.
    if (this.state === "live" && this.hls && !this.edge.live && !this.edge.near) this.plays();
    // The engine does not tell an end that it has all parts of.
    const stands = this.state === "waiting" || this.state === "retrying" || this.state === "replay";
    if (stands && !this.video.paused && this.edge.spent) this.over();
    // The engine chooses freely once a chosen rung has failed.
    const chosen = this.hls?.levels.some((l) => l.height === this.chosenHeight);
    const lost = chosen === true && this.hls?.autoLevelEnabled === true;
    if (lost && performance.now() - this.failedAt > PENALTY_MS) this.applyChoice();
  }

  private waits(): void {
    if (this.state === "live" && this.edge.spent) return this.over();
    if (this.video.seeking || (this.state !== "live" && this.state !== "retrying")) return;
    this.stalls += 1;
    if (this.state === "live") this.become("waiting");
  }

  /** Nobody looks: nothing is fetched. */
  private doze(): void {
    this.dozing = true;
    this.hls?.stopLoad();
  }

  private wake(): void {
    clearTimeout(this.idle);
    if (this.dozing) this.hls?.startLoad();
    this.dozing = false;
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
    void this.currentBroadcast().then((now) => (this.broadcast ??= now));
    void this.play();
  }

  private failed(hls: Hls, data: ErrorData): void {
    this.failedAt = performance.now();
    if (!data.fatal || hls !== this.hls) return;
    if (data.details === ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) {
      this.stopSoon();
      return this.become("unsupported");
    }
    if (data.type === ErrorTypes.MEDIA_ERROR && performance.now() - this.recoveredAt > RECOVERED_MS) {
      this.recoveredAt = performance.now();
      const at = this.video.currentTime;
      hls.recoverMediaError();
      // It stopped itself before it told.
      hls.startLoad(at > 0 ? at : -1);
      return;
    }
    const code = data.response?.code ?? 0;
    if (code === 404) return this.retry("offline");
    if (code === 401 || code === 403) return this.retry("refused");
    // The engine goes on where it was once the server can be reached again.
    const away = data.type === ErrorTypes.NETWORK_ERROR && (code === 0 || code >= 500);
    this.retry("retrying", away && hls.levels.length > 0);
  }

  /** Again after a pause that doubles up to 5 s, with jitter. `kept`: with the engine and the picture there is. */
  private retry(shown: State, kept = false): void {
    if (!kept) this.stopSoon();
    this.become(shown);
    const pause = shown === "refused" ? REFUSED_MS : Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.retries);
    this.retries += 1;
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.again(), pause * (0.75 + Math.random() / 2));
  }

  private again(): void {
    clearTimeout(this.timer);
    if (this.hls) this.hls.startLoad();
    else this.start();
  }

  /** The broadcast is over: looks for a new one under the same URL. */
  private over(): void {
    this.become("ended");
    this.video.pause();
    this.lookForNewer();
  }

  private lookForNewer(): void {
    const look = async () => {
      const now = await this.currentBroadcast();
      if (this.state !== "ended" && this.state !== "replay") return;
      // The browser's own player does not say what it plays: what is there now.
      this.broadcast ??= now;
      if (!now || now === this.broadcast) return this.lookForNewer();
      if (this.state === "ended") return this.start();
      this.newer = true;
      this.changed();
    };
    clearTimeout(this.looking);
    this.looking = window.setTimeout(() => void look(), ENDED_POLL_MS);
  }

  private async currentBroadcast(): Promise<string | null> {
    try {
      const signal = AbortSignal.timeout(LOOK_MS);
      return broadcastOf(await (await fetch(this.index, { cache: "no-store", signal })).text());
    } catch {
      return null;
    }
  }

  private become(state: State): void {
    this.state = state;
    this.changed();
  }
}

/**
 * The broadcast id in a media playlist's URL, wherever it stands in `text`; a
 * stream's name may look like one.
 */
function broadcastOf(text: string): string | null {
  return /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/[^/\s]+\/media\.m3u8/.exec(text)?.[1] ?? null;
}
