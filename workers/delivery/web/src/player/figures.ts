// The overlay with statistics.

import { element } from "./page";
import type { Session } from "./session";
import { read } from "./stats";

const panel = element("figures");
const list = element("figures-list");
const button = element("stats");

export function toggleFigures(): void {
  panel.hidden = !panel.hidden;
  button.setAttribute("aria-pressed", String(!panel.hidden));
}

export function renderFigures(session: Session, video: HTMLVideoElement): void {
  if (panel.hidden) return;
  const now = read(session, video);
  const rows: [string, string][] = [
    ["Picture", now.width > 0 ? `${now.width}×${now.height} (${now.rendition ?? "?"})` : "none"],
    ["Bitrate", megabits(now.bitrateKbps)],
    ["Network", megabits(now.bandwidthKbps)],
    ["Behind the studio", now.latencyMs === null ? "–" : `${(now.latencyMs / 1000).toFixed(2)} s`],
    ["Buffer", `${now.bufferSeconds.toFixed(2)} s`],
    ["Frames", `${now.totalFrames}, ${now.droppedFrames} dropped`],
    ["Stalls", String(now.stalls)],
    ["Broadcast", session.broadcast ?? "–"],
  ];
  if (list.children.length === 0) {
    for (const [name] of rows) {
      const term = document.createElement("dt");
      term.textContent = name;
      list.append(term, document.createElement("dd"));
    }
  }
  const values = list.querySelectorAll("dd");
  rows.forEach(([, value], at) => {
    const cell = values[at];
    if (cell) cell.textContent = value;
  });
}

function megabits(kbps: number | null): string {
  return kbps === null ? "–" : `${(kbps / 1000).toFixed(1)} Mb/s`;
}
