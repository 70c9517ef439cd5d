// What happened to the stream, newest first.

import { Problem, get, ofStream, wordsFor } from "../api";
import { fill, h, say } from "../dom";
import { when } from "../format";
import { repeat, type Life } from "../poll";
import type { Happening, Page } from "../types";
import { section } from "../views/parts";

/** The server looks through the newest of all streams for them. */
const EVERY_MS = 15_000;
const LIMIT = 200;
/** One every two seconds: only who asks sees them. */
const FREQUENT = "SegmentGenerated";

const WORDS: Record<string, string> = {
  StreamProvisioned: "Stream provisioned",
  StreamStarted: "Broadcast started",
  StreamInterrupted: "Publisher lost",
  StreamResumed: "Publisher back",
  StreamEnded: "Broadcast ended",
  StreamFailed: "Broadcast failed",
  SegmentGenerated: "Segment durable",
  ViewerJoined: "Viewer joined",
  ViewerLeft: "Viewer left",
  QualityChanged: "Viewer changed rungs",
};

export function eventsPanel(streamId: string, life: Life): HTMLElement {
  const all = h("input", { type: "checkbox" });
  const failed = h("p", { class: "quiet", role: "status" }, "Loading…");
  const timeline = h("ol", { class: "timeline" });
  let known: Happening[] = [];
  const render = () => {
    const shown = known.filter((event) => all.checked || kindOf(event) !== FREQUENT);
    fill(timeline, ...shown.map(entry));
  };
  all.addEventListener("change", render);
  repeat(life, EVERY_MS, async () => {
    try {
      known = (await get<Page<Happening>>(ofStream(streamId, "events"), { limit: LIMIT }, life.signal)).items;
      say(failed, known.length === 0 ? "Nothing happened yet, or long ago." : "");
      render();
      return true;
    } catch (error) {
      const none = error instanceof Problem && error.status === 503;
      if (!life.over) say(failed, none ? "No events: there is no Kafka to read them from." : wordsFor(error));
      return false;
    }
  });
  return section("Events", [h("label", { class: "check" }, all, "Segments too")], failed, h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Events" }, timeline));
}

/** `dev.millrace.StreamStarted` → `StreamStarted` */
function kindOf(event: Happening): string {
  return event.type.split(".").pop() ?? event.type;
}

function entry(event: Happening): HTMLElement {
  const kind = kindOf(event);
  return h(
    "li",
    { class: kind.startsWith("Stream") ? "major" : undefined },
    h("time", { datetime: event.time, title: event.time }, when(event.time)),
    h("span", {}, WORDS[kind] ?? kind),
    h("span", { class: "quiet small" }, details(event.data)),
  );
}

/** Its plain fields, without ids and times, which say nothing to people. */
function details(data: Record<string, unknown>): string {
  const plain = Object.entries(data ?? {}).filter(([name, value]) => {
    const isDull = /^(broadcast|session|streamId|keyId|uid|.*Ms)$/.test(name);
    return !isDull && ["string", "number", "boolean"].includes(typeof value);
  });
  return plain.slice(0, 5).map(([name, value]) => `${name} ${String(value)}`).join(" · ");
}
