// The page's colours, for canvases.

/** Of the style sheet, as the scheme in use has it. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const LINES = 6;

/** Of a chart's line. */
export function paint(at: number, alpha = 1): string {
  const of = colour(`--line-${(at % LINES) + 1}`);
  return alpha === 1 ? of : `${of}${Math.round(alpha * 255).toString(16).padStart(2, "0")}`;
}

/** A patch of that colour, beside the line's name. */
export function keyOf(at: number): HTMLElement {
  const key = document.createElement("i");
  key.className = "key";
  key.style.background = `var(--line-${(at % LINES) + 1})`;
  return key;
}

/** Calls when the person changes between dark and light. */
export function onScheme(signal: AbortSignal, act: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act, { signal });
}
