// Short words about what was done.

import { h } from "./dom";

const SHOWN_MS = 6_000;

export function notify(text: string, kind: "done" | "failed" = "done"): void {
  const toast = h("p", { class: `toast ${kind}` }, text);
  document.getElementById("toasts")?.append(toast);
  setTimeout(() => toast.remove(), SHOWN_MS);
}
