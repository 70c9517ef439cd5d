// What a viewer can do, whether by button, key or message.

import { toggleFigures } from "./figures";
import { element } from "./page";
import type { Session } from "./session";

/** Remembered on this device. */
const VOLUME = "millrace.volume";
/** Controls are gone this long after the last sign of an interest. */
const SHOWN_MS = 3_000;

export type Actions = ReturnType<typeof actionsOf>;

/** iPhones show videos alone in full screen. */
type AppleVideo = HTMLVideoElement & { webkitEnterFullscreen?: () => void };

export function actionsOf(session: Session, video: HTMLVideoElement) {
  const player = element("player");
  let hiding: number | undefined;

  /** Shows the controls for a while. */
  const show = () => {
    delete player.dataset.idle;
    clearTimeout(hiding);
    hiding = window.setTimeout(() => {
      player.dataset.idle = "";
    }, SHOWN_MS);
  };

  const setVolume = (volume: number) => {
    video.volume = Math.min(1, Math.max(0, volume));
    video.muted = video.volume === 0;
    remember(VOLUME, String(video.volume));
  };

  video.volume = Math.min(1, Number(recall(VOLUME) ?? 1) || 1);
  return {
    show,
    setVolume,
    togglePlay: () => session.toggle(),
    goLive: () => session.goLive(),
    toggleFigures,
    toggleMute: () => {
      video.muted = !video.muted;
      if (!video.muted && video.volume === 0) setVolume(0.5);
    },
    louder: (by: number) => setVolume((video.muted ? 0 : video.volume) + by),
    skip: (seconds: number) => session.edge.seek(video.currentTime + seconds),
    toggleFull: () => {
      if (document.fullscreenElement) void document.exitFullscreen();
      else if (player.requestFullscreen) void player.requestFullscreen().catch(() => undefined);
      else (video as AppleVideo).webkitEnterFullscreen?.();
    },
  };
}

/** Keeps a value on this device; storage may be forbidden, and nothing depends on it. */
export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Forbidden.
  }
}

function recall(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
