// The controls: what they show, and what they do.

import type { Actions } from "./actions";
import { element, say } from "./page";
import type { Session, State } from "./session";

const NOTICES: Record<State, string> = {
  connecting: "Connecting…",
  live: "",
  replay: "",
  waiting: "Waiting for video…",
  offline: "Offline. It starts here by itself when the broadcast begins.",
  ended: "The broadcast has ended. A new one starts here by itself.",
  retrying: "Connection lost. Trying again…",
  refused: "This link does not let you watch, or no longer.",
  unsupported: "This browser cannot play HLS.",
};
const BADGES: Record<State, string> = {
  connecting: "Live",
  live: "Live",
  replay: "Replay",
  waiting: "Live",
  offline: "Offline",
  ended: "Ended",
  retrying: "Live",
  refused: "Offline",
  unsupported: "Offline",
};

const player = element("player");
const playButton = element<HTMLButtonElement>("play");
const bigButton = element<HTMLButtonElement>("big");
const muteButton = element<HTMLButtonElement>("mute");
const fullButton = element<HTMLButtonElement>("full");
const volume = element<HTMLInputElement>("volume");
const goLive = element<HTMLButtonElement>("golive");
const rungs = element<HTMLSelectElement>("rungs");

export function bindControls(session: Session, video: HTMLVideoElement, actions: Actions): void {
  playButton.addEventListener("click", actions.togglePlay);
  bigButton.addEventListener("click", actions.togglePlay);
  muteButton.addEventListener("click", actions.toggleMute);
  goLive.addEventListener("click", actions.goLive);
  fullButton.addEventListener("click", actions.toggleFull);
  element("stats").addEventListener("click", actions.toggleFigures);
  rungs.addEventListener("change", () => {
    session.choose(rungs.value === "-1" ? null : Number(rungs.value));
    renderRungs(session);
  });
  volume.addEventListener("input", () => actions.setVolume(Number(volume.value)));
  const render = () => renderControls(session, video);
  for (const event of ["play", "pause", "volumechange"]) video.addEventListener(event, render);
  document.addEventListener("fullscreenchange", render);

  // A finger shows the controls first; a mouse has them by moving.
  video.addEventListener("pointerup", (event) => {
    if (event.button !== 0) return;
    const hidden = player.dataset.idle !== undefined;
    if (event.pointerType === "mouse" || !hidden) actions.togglePlay();
    actions.show();
  });
  for (const event of ["pointermove", "focusin"]) player.addEventListener(event, actions.show);
  actions.show();
}

export function renderControls(session: Session, video: HTMLVideoElement): void {
  const { state } = session;
  player.dataset.state = state;
  player.dataset.sound = video.muted || video.volume === 0 ? "off" : "on";
  player.dataset.motion = video.paused ? "paused" : "playing";
  say("notice-text", NOTICES[state]);
  say("badge", session.newer ? "Watch live" : BADGES[state]);
  label(playButton, video.paused ? "Play" : "Pause", "k");
  // Also where the browser wants a click before anything plays.
  const ready = state === "live" || state === "replay" || (state === "connecting" && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
  bigButton.hidden = !video.paused || !ready;
  label(muteButton, player.dataset.sound === "off" ? "Unmute" : "Mute", "m");
  label(fullButton, document.fullscreenElement ? "Leave full screen" : "Full screen", "f");
  volume.value = String(video.muted ? 0 : video.volume);
  renderRungs(session);
}

/** Where the picture is: the live button, and what it says to those who can't see it. */
export function renderEdge(session: Session): void {
  const live = session.state === "live" || session.state === "waiting";
  const at = session.newer ? "newer" : !live ? "away" : session.edge.near ? "edge" : "behind";
  goLive.dataset.at = at;
  goLive.disabled = at === "away";
  const text = { edge: "At the live edge", behind: "Go to live", newer: "Watch live", away: BADGES[session.state] }[at];
  if (goLive.getAttribute("aria-label") !== text) goLive.setAttribute("aria-label", text);
}

function renderRungs(session: Session): void {
  const hls = session.engine;
  const heights = [...new Set(hls?.levels.map((l) => l.height) ?? [])].sort((a, b) => b - a);
  const want = ["-1", ...heights.map(String)];
  const have = [...rungs.options].map((o) => o.value);
  const current = hls?.levels[hls.currentLevel]?.height;
  if (heights.length > 0 && want.join() !== have.join()) {
    const chosen = rungs.value;
    rungs.replaceChildren(...want.map((v) => new Option(v === "-1" ? "Auto" : `${v}p`, v)));
    rungs.value = want.includes(chosen) ? chosen : "-1";
  }
  const auto = rungs.options[0];
  if (auto) auto.text = current && rungs.value === "-1" ? `Auto ${current}p` : "Auto";
}

function label(button: HTMLButtonElement, text: string, key: string): void {
  if (button.getAttribute("aria-label") === text) return;
  button.setAttribute("aria-label", text);
  button.title = `${text} (${key})`;
}
