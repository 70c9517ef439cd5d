// The figures of one stream over the time that is shown: what the server kept,
// and each second heard since. Pure.

import { notBefore } from "../format";
import type { Now, Point, Range } from "../types";

/** One moment; null where nothing is known. */
export interface Moment {
  /** Unix seconds. */
  at: number;
  viewers: number | null;
  ingressKbps: number | null;
  egressKbps: number | null;
  quality: Record<string, number>;
  droppedFrames: number | null;
  stalls: number | null;
  edgeSeconds: number | null;
  lagSeconds: number | null;
  partMs: number | null;
}

/** More are not kept: a day at two seconds would be 43,200. */
const MOST = 6_000;

export class History {
  private moments: Moment[] = [];
  private heard: Moment[] = [];

  constructor(private spanSeconds: number) {}

  /** What the server kept; what was heard since stays after it. */
  load(range: Range): void {
    this.moments = range.points.map(ofPoint);
    const last = this.moments.findLast((moment) => moment.viewers !== null)?.at ?? 0;
    // A bucket stands for the step after it.
    this.moments = this.moments.filter((moment) => moment.at <= last);
    this.heard = this.heard.filter((moment) => moment.at > last);
  }

  reset(spanSeconds: number): void {
    this.spanSeconds = spanSeconds;
    this.moments = [];
  }

  hear(now: Now, edgeSeconds: number | null): void {
    const at = Date.parse(now.at) / 1_000;
    if (Number.isNaN(at) || at <= (this.heard.at(-1)?.at ?? 0)) return;
    this.heard.push({
      at,
      viewers: now.concurrentViewers,
      ingressKbps: now.ingressBitrateMbps * 1_000,
      egressKbps: now.egressBitrateMbps * 1_000,
      quality: now.qualityDistribution,
      droppedFrames: now.droppedFrames,
      stalls: now.bufferingEvents,
      edgeSeconds: notBefore(edgeSeconds),
      lagSeconds: notBefore(now.logLagSeconds),
      partMs: notBefore(now.partLatencyMs),
    });
    this.heard = this.heard.slice(-MOST);
  }

  get newest(): Moment | null {
    return this.heard.at(-1) ?? null;
  }

  /** Begin and end of what is shown, unix seconds. */
  span(nowMs: number): [number, number] {
    return [nowMs / 1_000 - this.spanSeconds, nowMs / 1_000];
  }

  shown(nowMs: number): Moment[] {
    const [from] = this.span(nowMs);
    const last = this.moments.at(-1)?.at ?? 0;
    return [...this.moments, ...this.heard.filter((moment) => moment.at > last)].filter((moment) => moment.at >= from);
  }
}

function ofPoint(point: Point): Moment {
  return {
    at: Date.parse(point.at) / 1_000,
    viewers: point.viewers,
    ingressKbps: point.ingressKbps,
    egressKbps: point.egressKbps,
    quality: point.quality ?? {},
    droppedFrames: point.droppedFrames,
    stalls: point.bufferingEvents,
    edgeSeconds: null,
    lagSeconds: null,
    partMs: null,
  };
}
