// One chart over time: a title, its newest figures, lines or stacked areas.

import uPlot from "uplot";

import { fill, h } from "../dom";
import { NONE, brief, clock } from "../format";
import { colour, keyOf, paint } from "./colours";

/** Null where nothing is known. */
export type Values = (number | null)[];

export interface Line {
  name: string;
  values: Values;
}

export interface Shape {
  title: string;
  format: (value: number | null) => string;
  /** There are no halves of what is counted. */
  whole?: boolean;
  /** Lines are shares of a whole. */
  stacked?: boolean;
  /** What is said while there is nothing. */
  empty?: string;
}

const HEIGHT = 180;

export class Chart {
  readonly element: HTMLElement;
  private readonly newest = h("span", { class: "newest" });
  private readonly plot = h("div", { class: "plot" });
  private readonly empty: HTMLElement;
  private drawn: { chart: uPlot; names: string } | null = null;
  private latest: { times: number[]; lines: Line[]; span: [number, number] } | null = null;

  constructor(private readonly shape: Shape) {
    this.empty = h("p", { class: "empty" }, shape.empty ?? "No figures in this time.");
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, h("h3", {}, shape.title), this.newest),
      this.plot,
      this.empty,
    );
    new ResizeObserver(() => this.resize()).observe(this.plot);
  }

  /** Shows these lines over `times` (unix seconds) in the span. */
  show(times: number[], lines: Line[], span: [number, number]): void {
    this.latest = { times, lines, span };
    const some = lines.some(({ values }) => values.some((value) => value !== null));
    this.empty.hidden = some;
    this.plot.classList.toggle("blank", !some);
    if (some && this.drawn?.chart.cursor.idx == null) this.tell(lines);
    else if (!some) fill(this.newest);
    const names = lines.map(({ name }) => name).join("\n");
    if (this.drawn?.names !== names) this.draw(lines, names);
    const chart = this.drawn?.chart;
    if (!chart) return;
    const values = this.shape.stacked ? stack(lines) : lines.map((line) => line.values);
    chart.setData([times, ...values], false);
    chart.setScale("x", { min: span[0], max: span[1] });
    this.plot.setAttribute("aria-label", `${this.shape.title}: ${this.words(lines) || NONE}`);
  }

  /** In the colours of today's scheme. */
  repaint(): void {
    this.drawn?.chart.destroy();
    this.drawn = null;
    if (this.latest) this.show(this.latest.times, this.latest.lines, this.latest.span);
  }

  destroy(): void {
    this.drawn?.chart.destroy();
  }

  /** The newest figure of each line, with its colour. */
  private tell(lines: Line[], before = ""): void {
    const named = lines.map(({ name, values }, at) => {
      const text = this.shape.format(newestOf(values));
      return lines.length === 1 && !this.shape.stacked ? text : h("span", { class: "line" }, keyOf(at), `${name} ${text}`);
    });
    fill(this.newest, before, ...named);
  }

  private words(lines: Line[]): string {
    return lines.map(({ name, values }) => `${name} ${this.shape.format(newestOf(values))}`).join(", ");
  }

  private draw(lines: Line[], names: string): void {
    this.drawn?.chart.destroy();
    const { format, stacked, whole } = this.shape;
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--faint"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const options: uPlot.Options = {
      width: Math.max(200, this.plot.clientWidth),
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      legend: { show: false },
      scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] } },
      axes: [
        { ...axis, space: 70, size: 28, values: (_, splits) => splits.map(clock) },
        { ...axis, size: 62, splits: (_, __, min, max) => ticks(min, max, whole ? 1 : 0), values: (_, splits) => splits.map((value) => brief(format(value))) },
      ],
      series: [
        {},
        ...lines.map(({ name }, at) => ({
          label: name,
          stroke: paint(at),
          width: 1.75,
          fill: stacked || lines.length === 1 ? paint(at, stacked ? 0.55 : 0.14) : undefined,
          points: { show: false },
          spanGaps: false,
        }) satisfies uPlot.Series),
      ],
      bands: stacked ? lines.slice(1).map((_, at) => ({ series: [at + 1, at + 2] as uPlot.Band.Bounds })) : [],
      hooks: { setCursor: [(chart) => this.point(chart)] },
    };
    this.plot.setAttribute("role", "img");
    this.drawn = { chart: new uPlot(options, [[], ...lines.map(() => [])], this.plot), names };
  }

  /** The figures under the mouse, or the newest. */
  private point(chart: uPlot): void {
    const { latest } = this;
    const at = chart.cursor.idx;
    if (!latest) return;
    if (at === null || at === undefined || chart.cursor.left === undefined || chart.cursor.left < 0) {
      return this.tell(latest.lines);
    }
    const time = new Date((latest.times[at] ?? 0) * 1_000).toLocaleTimeString();
    const there = latest.lines.map(({ name, values }) => ({ name, values: [values[at] ?? null] }));
    this.tell(there, time);
  }

  private resize(): void {
    const width = this.plot.clientWidth;
    if (width > 0) this.drawn?.chart.setSize({ width, height: HEIGHT });
  }
}

function newestOf(values: Values): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

/** A few round marks, at least so far apart. */
function ticks(min: number, max: number, least: number): number[] {
  const rough = Math.max(least, (max - min) / 4);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((by) => by * power).find((by) => by >= rough) ?? rough;
  const marks = [];
  for (let mark = 0; mark <= max; mark += step) marks.push(Number(mark.toPrecision(12)));
  return marks;
}

/** Each line with those below it, the sum of all first: it is painted first. */
function stack(lines: Line[]): Values[] {
  return lines.map((_, from) =>
    (lines[from]?.values ?? []).map((__, at) => {
      const parts = lines.slice(from).map((line) => line.values[at] ?? null);
      return parts.every((part) => part === null) ? null : parts.reduce<number>((sum, part) => sum + (part ?? 0), 0);
    }),
  );
}
