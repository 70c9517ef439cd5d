// The charts of one stream.

import { h } from "../dom";
import { bitrate, count, milliseconds, seconds } from "../format";
import { Chart, type Line } from "./chart";
import { onScheme } from "./colours";
import type { History, Moment } from "./history";

const SINCE = "Drawn from now on: it is not kept.";

export class Board {
  readonly element: HTMLElement;
  private readonly viewers = new Chart({ title: "Viewers", format: count, whole: true });
  private readonly bitrate = new Chart({ title: "Bitrate", format: bitrate });
  private readonly rungs = new Chart({ title: "Viewers by rung", format: count, whole: true, stacked: true, empty: "Nobody watches." });
  private readonly trouble = new Chart({ title: "Stalls and dropped frames", format: count, whole: true });
  private readonly lag = new Chart({ title: "Behind the publisher", format: seconds, empty: SINCE });
  private readonly parts = new Chart({ title: "Part latency", format: milliseconds, empty: SINCE });

  constructor(private readonly history: History, signal: AbortSignal) {
    this.element = h("div", { class: "board" }, ...this.all.map((chart) => chart.element));
    onScheme(signal, () => this.all.forEach((chart) => chart.repaint()));
    signal.addEventListener("abort", () => this.all.forEach((chart) => chart.destroy()));
  }

  private get all(): Chart[] {
    return [this.viewers, this.bitrate, this.rungs, this.trouble, this.lag, this.parts];
  }

  render(): void {
    const now = Date.now();
    const moments = this.history.shown(now);
    const span = this.history.span(now);
    const times = moments.map((moment) => moment.at);
    const line = (name: string, of: (moment: Moment) => number | null): Line => ({ name, values: moments.map(of) });
    this.viewers.show(times, [line("Viewers", (m) => m.viewers)], span);
    this.bitrate.show(times, [line("In", (m) => m.ingressKbps), line("Out", (m) => m.egressKbps)], span);
    this.rungs.show(times, rungsOf(moments).map((rung) => line(rung, (m) => shareOf(m, rung))), span);
    this.trouble.show(times, [line("Stalls", (m) => m.stalls), line("Dropped", (m) => m.droppedFrames)], span);
    const lags = [line("Live edge", (m) => m.edgeSeconds), line("Log", (m) => m.lagSeconds)];
    this.lag.show(times, lags.filter(({ values }, at) => at === 0 || values.some((value) => value !== null)), span);
    this.parts.show(times, [line("Part latency", (m) => m.partMs)], span);
  }
}

/** Highest first, as they are stacked from the top. */
function rungsOf(moments: Moment[]): string[] {
  const names = new Set(moments.flatMap((moment) => Object.keys(moment.quality)));
  return [...names].sort((a, b) => b.localeCompare(a, undefined, { numeric: true }));
}

function shareOf(moment: Moment, rung: string): number | null {
  return moment.viewers === null ? null : (moment.quality[rung] ?? 0);
}
