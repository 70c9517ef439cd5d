// The stream's broadcasts, newest first.

import { ofStream } from "../api";
import { h } from "../dom";
import { NONE, duration, when } from "../format";
import type { Life } from "../poll";
import type { Broadcast } from "../types";
import { section } from "../views/parts";
import { list } from "./list";

const STATES: Record<string, string> = { PENDING_INGEST: "Waiting", ACTIVE: "Live", ENDED: "Ended", ERROR: "Failed" };

export function broadcastsPanel(streamId: string, life: Life): HTMLElement {
  const { content } = list<Broadcast>(
    {
      path: ofStream(streamId, "broadcasts"),
      limit: 10,
      everyMs: 5_000,
      empty: "Nothing was broadcast yet.",
      columns: ["Began", "State", "Length", "Why it ended"],
      row: (broadcast) =>
        h(
          "tr",
          { title: broadcast.id },
          h("td", {}, when(broadcast.startedAt)),
          h("td", {}, h("span", { class: `badge ${broadcast.endedAt ? "ended" : "live"}` }, STATES[broadcast.status] ?? broadcast.status)),
          h("td", {}, broadcast.endedAt ? duration(broadcast.startedAt, broadcast.endedAt) : "on air"),
          h("td", {}, broadcast.endReason ?? NONE),
        ),
    },
    life,
  );
  return section("Broadcasts", [], content);
}
