// The player page: binds a session to the controls and shows its figures.

import { startBeacon } from "./beacon";
import { Session, type State } from "./session";
import { read, type Stats } from "./stats";

declare global {
  interface Window {
    /** For tests and the curious. */
    millrace: { readonly hls: Session["hls"]; stats(): Stats };
  }
}

function element<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as E;
}

const player = element("player");
const video = element<HTMLVideoElement>("video");
const playButton = element<HTMLButtonElement>("play");
const muteButton = element<HTMLButtonElement>("mute");
const volume = element<HTMLInputElement>("volume");
const goLive = element<HTMLButtonElement>("golive");
const rungs = element<HTMLSelectElement>("rungs");

const NOTICES: Record<State, string> = {
  connecting: "Connecting…",
  live: "",
  waiting: "Waiting for video…",
  offline: "Offline. It starts here by itself when the broadcast begins.",
  ended: "The broadcast has ended. A new one starts here by itself.",
  retrying: "Connection lost. Trying again…",
  unsupported: "This browser cannot play HLS.",
};
const BADGES: Record<State, string> = {
  connecting: "…",
  live: "Live",
  waiting: "Waiting",
  offline: "Offline",
  ended: "Ended",
  retrying: "Retrying",
  unsupported: "Unsupported",
};

const streamId = decodeURIComponent(location.pathname.split("/").pop() ?? "");
element("title").textContent = streamId;
document.title = `${streamId} · Millrace`;

const session = new Session(streamId, video, render);
window.millrace = {
  get hls() {
    return session.hls;
  },
  stats: () => read(session, video),
};

function render(): void {
  player.dataset.state = session.state;
  element("badge").textContent = BADGES[session.state];
  element("notice").textContent = NOTICES[session.state];
  renderRungs();
  renderControls();
}

function renderRungs(): void {
  const heights = [...new Set(session.hls?.levels.map((l) => l.height) ?? [])].sort((a, b) => b - a);
  const want = ["-1", ...heights.map(String)];
  const have = [...rungs.options].map((o) => o.value);
  const current = session.hls?.levels[session.hls.currentLevel]?.height;
  if (heights.length > 0 && want.join() !== have.join()) {
    const chosen = rungs.value;
    rungs.replaceChildren(...want.map((v) => new Option(v === "-1" ? "Auto" : `${v}p`, v)));
    rungs.value = want.includes(chosen) ? chosen : "-1";
  }
  const auto = rungs.options[0];
  if (auto) auto.text = current && rungs.value === "-1" ? `Auto (${current}p)` : "Auto";
}

function renderControls(): void {
  label(playButton, video.paused ? "Play" : "Pause");
  label(muteButton, video.muted ? "Unmute" : "Mute");
  volume.value = String(video.muted ? 0 : video.volume);
}

function label(button: HTMLButtonElement, text: string): void {
  button.textContent = text;
  button.setAttribute("aria-label", text);
}

function renderFigures(): void {
  const now = read(session, video);
  const seconds = now.latencyMs === null ? null : now.latencyMs / 1000;
  // A wrong clock on either side gives figures that mean nothing.
  const sane = seconds !== null && seconds > 0 && seconds < 3600 && session.state === "live";
  element("latency").textContent = sane ? `${seconds.toFixed(1)} s behind` : "";
  const edge = session.hls?.liveSyncPosition ?? null;
  goLive.hidden = !(edge !== null && session.state !== "ended" && edge - video.currentTime > 3);
  element("stats").textContent = now.totalFrames === 0 ? "" : [
    `${now.width}×${now.height}`,
    now.bitrateKbps === null ? "" : `${(now.bitrateKbps / 1000).toFixed(1)} Mb/s`,
    `buffer ${now.bufferSeconds.toFixed(1)} s`,
    `${now.droppedFrames} of ${now.totalFrames} frames dropped`,
    `${now.stalls} ${now.stalls === 1 ? "stall" : "stalls"}`,
  ].filter(Boolean).join(" · ");
}

function togglePlay(): void {
  if (video.paused) session.goLive();
  else video.pause();
}

function toggleMute(): void {
  video.muted = !video.muted;
}

function toggleFull(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void element("screen").requestFullscreen?.().catch(() => undefined);
}

playButton.addEventListener("click", togglePlay);
muteButton.addEventListener("click", toggleMute);
goLive.addEventListener("click", () => session.goLive());
element("full").addEventListener("click", toggleFull);
element("screen").addEventListener("click", togglePlay);
rungs.addEventListener("change", () => {
  session.choose(rungs.value === "-1" ? null : Number(rungs.value));
  render();
});
volume.addEventListener("input", () => {
  video.volume = Number(volume.value);
  video.muted = video.volume === 0;
});
for (const event of ["play", "pause", "volumechange"]) video.addEventListener(event, renderControls);
document.addEventListener("keydown", (event) => {
  // Keys of a focused control are that control's.
  if (event.target instanceof HTMLSelectElement || event.target instanceof HTMLInputElement) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "m") toggleMute();
  else if (event.key === "f") toggleFull();
  else if (event.key === "k" || (event.key === " " && !(event.target instanceof HTMLButtonElement))) togglePlay();
  else return;
  event.preventDefault();
});

try {
  localStorage.setItem("millrace.last", streamId);
} catch {
  // Storage may be forbidden; nothing depends on it.
}
setInterval(renderFigures, 500);
render();
session.start();
startBeacon(streamId, () => {
  if (video.paused || session.state !== "live") return null;
  const now = read(session, video);
  const { rendition, stalls, droppedFrames } = now;
  return { rendition, stalls, droppedFrames, latencyMs: now.latencyMs === null ? null : Math.round(now.latencyMs) };
});
