// The bar from the begin of what is kept to the live edge.

import { element } from "./page";
import type { Session } from "./session";

/** A shorter window is not worth a bar. */
const SHORTEST_SECONDS = 10;

const bar = element<HTMLInputElement>("seek");
let held = false;

export function bindSeekbar(session: Session): void {
  for (const event of ["pointerdown", "touchstart"]) bar.addEventListener(event, () => (held = true), { passive: true });
  for (const event of ["change", "pointerup", "touchend"]) bar.addEventListener(event, () => (held = false));
  bar.addEventListener("input", () => {
    const window = session.edge.window();
    if (window) session.edge.seek(window.start + Number(bar.value));
  });
}

export function renderSeekbar(session: Session, video: HTMLVideoElement): void {
  const window = session.edge.window();
  const length = window ? window.edge - window.start : 0;
  bar.disabled = !window || length < SHORTEST_SECONDS;
  if (!window || held) return;
  const at = Math.min(length, Math.max(0, video.currentTime - window.start));
  bar.max = String(Math.round(length));
  // The last step is the edge itself.
  bar.value = session.edge.live && session.edge.near ? bar.max : String(Math.round(at));
  bar.style.setProperty("--done", `${length > 0 ? (100 * Number(bar.value)) / Number(bar.max) : 0}%`);
  bar.setAttribute("aria-valuetext", spoken(session, at, length));
}

function spoken(session: Session, at: number, length: number): string {
  if (!session.edge.live) return `${clock(at)} of ${clock(length)}`;
  return session.edge.near ? "live" : `${clock(length - at)} behind live`;
}

/** 75 → "1:15" */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
