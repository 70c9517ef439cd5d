// The figures of now.

import { h, say } from "../dom";
import { bitrate, count, duration, milliseconds, notBefore, seconds } from "../format";
import type { Now, StreamStatus } from "../types";

const NAMES = ["Viewers", "In", "Out", "Live edge", "Part latency", "Log lag", "On air"] as const;
type Name = (typeof NAMES)[number];

export class Tiles {
  readonly element: HTMLElement;
  private readonly values = new Map<Name, HTMLElement>();

  constructor() {
    const tiles = NAMES.map((name) => {
      const value = h("dd", { "data-tile": name }, "–");
      this.values.set(name, value);
      return h("div", { class: "tile" }, h("dt", {}, name), value);
    });
    this.element = h("dl", { class: "tiles" }, ...tiles);
  }

  render(status: StreamStatus, now: Now | null): void {
    const live = status.state === "live";
    this.set("Viewers", count(now?.concurrentViewers ?? status.viewers));
    this.set("In", bitrate(now && now.ingressBitrateMbps * 1_000));
    this.set("Out", bitrate(now && now.egressBitrateMbps * 1_000));
    this.set("Live edge", live ? seconds(notBefore(status.liveEdgeLatencySeconds)) : "–");
    this.set("Part latency", milliseconds(notBefore(now?.partLatencyMs)));
    const lag = now?.logLagSeconds ?? null;
    this.set("Log lag", milliseconds(lag === null ? null : lag * 1_000));
    this.set("On air", live ? duration(status.startedAt, null) : "–");
  }

  private set(name: Name, text: string): void {
    const value = this.values.get(name);
    if (value) say(value, text);
  }
}
