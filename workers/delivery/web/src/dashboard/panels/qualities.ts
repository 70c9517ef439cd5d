// What the current or last broadcast is offered in.

import { ofStream } from "../api";
import { h } from "../dom";
import { NONE, bitrate } from "../format";
import type { Life } from "../poll";
import type { Quality } from "../types";
import { section } from "../views/parts";
import { list } from "./list";

export function qualitiesPanel(streamId: string, life: Life): HTMLElement {
  const { content } = list<Quality>(
    {
      path: ofStream(streamId, "qualities"),
      limit: 50,
      everyMs: 30_000,
      empty: "Nothing was broadcast yet.",
      columns: ["Rung", "Picture", "Frames", "Average", "Codecs"],
      row: ({ name, width, height, frameRate, averageBandwidth, bandwidth, codecs }) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name),
          h("td", {}, width && height ? `${width}×${height}` : NONE),
          h("td", {}, frameRate ? `${Number(frameRate.toFixed(2))}/s` : NONE),
          h("td", {}, bitrate((averageBandwidth ?? bandwidth ?? 0) / 1_000 || null)),
          h("td", { class: "code" }, codecs ?? NONE),
        ),
    },
    life,
  );
  return section("Qualities", [], content);
}
