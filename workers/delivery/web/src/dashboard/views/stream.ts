// One stream: its figures now and over time, broadcasts, keys, events.

import { get, ofStream, wordsFor, Problem } from "../api";
import { Board } from "../charts/board";
import { History } from "../charts/history";
import { fill, h, say } from "../dom";
import { broadcastsPanel } from "../panels/broadcasts";
import { endButton } from "../panels/end";
import { eventsPanel } from "../panels/events";
import { keysPanel } from "../panels/keys";
import { qualitiesPanel } from "../panels/qualities";
import { Tiles } from "../panels/tiles";
import { repeat, type Life } from "../poll";
import { may, type Me, type Now, type Range, type StreamStatus } from "../types";
import { badge, link } from "./parts";
import { rangePicker } from "./range";

const NOW_MS = 2_000;
const RANGE_MS = 60_000;
const POINTS = 300;

export function showStream(main: HTMLElement, life: Life, streamId: string, me: Me): void {
  document.title = `${streamId} · Millrace`;
  const picker = rangePicker((seconds) => {
    history.reset(seconds);
    void loadRange();
  });
  const history = new History(picker.seconds());
  const board = new Board(history, life.signal);
  const tiles = new Tiles();
  const state = h("span", { "aria-live": "polite" });
  const failed = h("p", { class: "failed", role: "alert" });
  const end = may(me, "broadcasts:write") ? endButton(streamId) : null;
  let status: StreamStatus | null = null;

  const loadNow = async () => {
    try {
      status = await get<StreamStatus>(ofStream(streamId), {}, life.signal);
      const now = status.state === "live" ? await metricsNow(streamId, life) : null;
      if (now) history.hear(now, status.liveEdgeLatencySeconds);
      if (state.textContent === "" || state.dataset["state"] !== status.state) fill(state, badge(status.state));
      state.dataset["state"] = status.state;
      end?.follow(status);
      tiles.render(status, now);
      board.render();
      say(failed, "");
      return true;
    } catch (error) {
      if (!life.over) say(failed, `${wordsFor(error)} Trying again…`);
      return false;
    }
  };
  const loadRange = async () => {
    const to = new Date();
    const from = new Date(to.getTime() - picker.seconds() * 1_000);
    const query = { from: from.toISOString(), to: to.toISOString(), points: POINTS };
    try {
      const range = await get<Range>(ofStream(streamId, "metrics", "range"), query, life.signal);
      history.load(range);
      board.render();
      return true;
    } catch {
      // The figures of now say what is wrong.
      return life.over;
    }
  };

  fill(
    main,
    h("nav", { "aria-label": "Where you are" }, link("/dashboard", "Streams"), h("span", { "aria-hidden": "true" }, " / ")),
    h("div", { class: "heading" }, h("h1", {}, streamId), state, h("span", { class: "space" }), end?.element ?? null),
    failed,
    tiles.element,
    h("div", { class: "heading" }, h("h2", {}, "Over time"), h("span", { class: "space" }), picker.element),
    board.element,
    h(
      "div",
      { class: "panels" },
      may(me, "keys:read") && keysPanel(streamId, me, life),
      broadcastsPanel(streamId, life),
      qualitiesPanel(streamId, life),
      eventsPanel(streamId, life),
    ),
  );
  repeat(life, NOW_MS, loadNow);
  repeat(life, RANGE_MS, loadRange);
}

/** None where nobody sums seconds, or not yet. */
async function metricsNow(streamId: string, life: Life): Promise<Now | null> {
  try {
    return await get<Now>(ofStream(streamId, "metrics"), {}, life.signal);
  } catch (error) {
    if (error instanceof Problem && (error.status === 404 || error.status === 503)) return null;
    throw error;
  }
}
