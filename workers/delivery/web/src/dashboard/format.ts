// Figures and times as people read them.

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY_AND_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });

export const NONE = "–";

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : Math.round(value).toLocaleString();
}

export function bitrate(kbps: number | null | undefined): string {
  if (kbps === null || kbps === undefined) return NONE;
  if (kbps >= 1_000_000) return `${(kbps / 1_000_000).toFixed(2)} Gb/s`;
  return kbps >= 1_000 ? `${(kbps / 1_000).toFixed(2)} Mb/s` : `${Math.round(kbps)} kb/s`;
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  return ms >= 1_000 ? seconds(ms / 1_000) : `${Math.round(ms)} ms`;
}

export function seconds(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : `${value.toFixed(2)} s`;
}

/** The time, with the day where that is another than today. */
export function when(time: string | null | undefined): string {
  if (!time) return NONE;
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return NONE;
  return at.toDateString() === new Date().toDateString() ? TIME.format(at) : DAY_AND_TIME.format(at);
}

/** Of a moment in unix seconds, beside an axis. */
export function clock(at: number): string {
  return CLOCK.format(at * 1_000);
}

/** A figure beside an axis: `60.00 Mb/s` → `60 Mb/s`. */
export function brief(text: string): string {
  return text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
}

export function duration(from: string | null, to: string | null): string {
  if (!from) return NONE;
  const all = Math.max(0, Math.round(((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1_000));
  const [hours, minutes] = [Math.floor(all / 3_600), Math.floor(all / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${all % 60} s` : `${all} s`;
}

/** Clocks differ a little: what came before it was sent came at once. */
export function notBefore(delay: number | null | undefined): number | null {
  return delay === null || delay === undefined ? null : Math.max(0, delay);
}
