// Talks with the page that embeds us (docs/embed.md). Anybody may embed and
// nothing told is secret, so any origin may be the parent; only it is heard.

import type { Actions } from "./actions";
import type { Session } from "./session";

export function bindEmbed(session: Session, video: HTMLVideoElement, actions: Actions): void {
  const { parent } = window;
  if (parent === window) return;
  const orders: Record<string, () => void> = {
    play: () => video.paused && actions.togglePlay(),
    pause: () => !video.paused && actions.togglePlay(),
    mute: () => (video.muted = true),
    unmute: () => (video.muted = false),
    golive: actions.goLive,
  };
  let told = "";
  const tell = () => {
    const now = { state: session.state, paused: video.paused, muted: video.muted, volume: video.volume };
    if (JSON.stringify(now) === told) return;
    told = JSON.stringify(now);
    parent.postMessage({ millrace: "state", ...now }, "*");
  };
  window.addEventListener("message", ({ source, data }) => {
    if (source !== parent || typeof data !== "object" || data === null) return;
    const order: unknown = data.millrace;
    if (order === "state") told = "";
    else if (typeof order === "string" && Object.hasOwn(orders, order)) orders[order]?.();
    tell();
  });
  for (const event of ["play", "pause", "playing", "waiting", "volumechange"]) video.addEventListener(event, tell);
  setInterval(tell, 500);
  tell();
}
