// Ends the broadcast that is on, after its stream's name was typed.

import { ofStream, post } from "../api";
import { ask } from "../dialog";
import { h } from "../dom";
import { notify } from "../notify";
import type { StreamStatus } from "../types";

export function endButton(streamId: string) {
  let broadcast: string | null = null;
  const click = () => {
    const ending = broadcast;
    if (!ending) return;
    const body = [h("p", {}, "The publisher is cut off and viewers see the end. A publisher that comes back begins a new broadcast.")];
    ask({ title: "End this broadcast?", body, verb: "End broadcast", danger: true, typed: streamId }, async () => {
      await post(ofStream(streamId, "broadcasts", ending, "end"));
      notify("The broadcast ends.");
    });
  };
  const element = h("button", { type: "button", class: "danger", id: "end", hidden: true, click }, "End broadcast");
  return {
    element,
    follow: (status: StreamStatus) => {
      broadcast = status.state === "live" ? status.broadcast : null;
      element.hidden = broadcast === null;
    },
  };
}
