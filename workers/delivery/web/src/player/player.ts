// The player, on its own page and embedded: binds a session to the page.

import type Hls from "hls.js";

import { actionsOf, remember } from "./actions";
import { startBeacon } from "./beacon";
import { bindControls, renderControls, renderEdge } from "./controls";
import { bindEmbed } from "./embed";
import { renderFigures } from "./figures";
import { bindKeyboard } from "./keyboard";
import { element, say, sourceOf } from "./page";
import { bindSeekbar, clock, renderSeekbar } from "./seekbar";
import { Session } from "./session";
import { read, type Stats } from "./stats";

declare global {
  interface Window {
    /** For tests and the curious. */
    millrace: { readonly hls: Hls | null; readonly viewer: string; stats(): Stats };
  }
}

const TICK_MS = 500;

const video = element<HTMLVideoElement>("video");
const source = sourceOf(location);
const session = new Session(source, video, () => renderControls(session, video));
window.millrace = {
  get hls() {
    return session.engine;
  },
  viewer: source.viewer,
  stats: () => read(session, video),
};

document.title = `${source.streamId} · Millrace`;
if (document.body.classList.contains("embed")) {
  video.muted = new URLSearchParams(location.search).has("muted");
} else {
  say("title", source.streamId);
  remember("millrace.last", source.streamId);
}

const actions = actionsOf(session, video);
bindControls(session, video, actions);
bindSeekbar(session);
bindKeyboard(actions);
bindEmbed(session, video, actions);

setInterval(() => {
  session.tick();
  renderEdge(session);
  renderSeekbar(session, video);
  renderFigures(session, video);
  say("latency", time());
}, TICK_MS);

/** At the edge the time since the studio, else how far back it is. */
function time(): string {
  const window = session.edge.window();
  if (session.state === "replay" && window) {
    return `${clock(video.currentTime - window.start)} / ${clock(window.edge - window.start)}`;
  }
  if (session.state !== "live") return "";
  if (!session.edge.near) return `−${clock(session.edge.behind())}`;
  const { latencyMs } = read(session, video);
  // A wrong clock on either side gives figures that mean nothing.
  const sane = latencyMs !== null && latencyMs > 0 && latencyMs < 3_600_000;
  return sane ? `${(latencyMs / 1000).toFixed(1)} s` : "";
}

renderControls(session, video);
session.start();
startBeacon(source, () => {
  const watches = session.state === "live" || session.state === "waiting";
  if (video.paused || !watches) return null;
  const { rendition, stalls, droppedFrames, latencyMs } = read(session, video);
  return {
    broadcast: session.broadcast,
    moves: session.state === "live",
    rendition,
    stalls,
    droppedFrames,
    latencyMs: latencyMs === null ? null : Math.round(latencyMs),
  };
});
window.addEventListener("pagehide", () => session.stop());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) session.start();
});
