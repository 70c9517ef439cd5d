// All streams: what they do and who watches.

import { get, wordsFor } from "../api";
import { fill, h, say } from "../dom";
import { bitrate, count } from "../format";
import { repeat, type Life } from "../poll";
import type { Page, StreamItem } from "../types";
import { badge, link } from "./parts";

const EVERY_MS = 3_000;
const PAGE = 50;

export function showStreams(main: HTMLElement, life: Life): void {
  document.title = "Streams · Millrace";
  const pages: string[] = [];
  let items: StreamItem[] | null = null;
  let next: string | null = null;
  const rows = new Map<string, Row>();

  const filter = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter by name", autocomplete: "off", spellcheck: "false" });
  const state = h("select", { "aria-label": "State" }, ...["", "live", "ended", "offline"].map((s) => h("option", { value: s }, s ? `Only ${s}` : "All states")));
  const failed = h("p", { class: "failed", role: "alert" });
  const summary = h("p", { class: "quiet", role: "status" }, "Loading…");
  const body = h("tbody");
  const table = h(
    "table",
    { class: "streams" },
    h("thead", {}, h("tr", {}, ...["Stream", "State", "Viewers", "In", "Out"].map((name, at) => h("th", { scope: "col", class: at > 1 ? "figure" : undefined }, name)))),
    body,
  );
  const turn = (act: () => void) => () => {
    act();
    items = null;
    void load();
  };
  const back = h("button", { type: "button", click: turn(() => pages.pop()) }, "Previous");
  const on = h("button", { type: "button", click: turn(() => next && pages.push(next)) }, "Next");

  const render = () => {
    back.hidden = pages.length === 0;
    on.hidden = !next;
    if (!items) return;
    const wanted = filter.value.trim().toLowerCase();
    const shown = items.filter((s) => s.streamId.includes(wanted) && (!state.value || s.state === state.value));
    const live = items.filter((s) => s.state === "live");
    const viewers = live.reduce((sum, s) => sum + (s.viewers ?? 0), 0);
    say(summary, items.length === 0 ? "" : `${live.length} of ${items.length} live, ${count(viewers)} watching${pages.length > 0 || next ? " (this page)" : ""}`);
    const none = items.length === 0 ? "There are no streams yet. Apply a LiveStream, and it is listed here." : "No stream is like that.";
    const present = shown.map((stream) => {
      const row = rows.get(stream.streamId) ?? new Row(stream.streamId);
      rows.set(stream.streamId, row);
      row.render(stream);
      return row.element;
    });
    const content = shown.length > 0 ? present : [h("tr", {}, h("td", { colspan: 5, class: "empty" }, none))];
    // What stays keeps its focus.
    if (content.some((row, at) => row !== body.children[at]) || content.length !== body.children.length) {
      fill(body, ...content);
    }
  };
  const load = async () => {
    try {
      const page = await get<Page<StreamItem>>("/streams", { limit: PAGE, after: pages.at(-1) }, life.signal);
      items = page.items;
      next = page.next;
      say(failed, "");
      render();
      return true;
    } catch (error) {
      if (!life.over) say(failed, `${wordsFor(error)} Trying again…`);
      return false;
    }
  };
  filter.addEventListener("input", render);
  state.addEventListener("change", render);
  fill(
    main,
    h("div", { class: "heading" }, h("h1", {}, "Streams"), summary, h("span", { class: "space" }), filter, state),
    failed,
    h("div", { class: "card scroll" }, table),
    h("div", { class: "buttons" }, back, on),
  );
  render();
  repeat(life, EVERY_MS, load);
}

class Row {
  readonly element: HTMLTableRowElement;
  private readonly state = h("td");
  private readonly figures = [0, 1, 2].map(() => h("td", { class: "figure" }));

  constructor(streamId: string) {
    const name = h("th", { scope: "row" }, link(`/dashboard/${streamId}`, streamId));
    this.element = h("tr", { "data-stream": streamId }, name, this.state, ...this.figures);
  }

  render({ state, viewers, ingressKbps, egressKbps }: StreamItem): void {
    fill(this.state, badge(state));
    [count(viewers), bitrate(ingressKbps), bitrate(egressKbps)].forEach((text, at) => {
      const cell = this.figures[at];
      if (cell) say(cell, text);
    });
  }
}
