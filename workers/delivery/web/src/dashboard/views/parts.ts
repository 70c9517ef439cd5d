// Small things that several views show.

import { h } from "../dom";

const STATES: Record<string, string> = { live: "Live", ended: "Ended", offline: "Offline" };

export function badge(state: string): HTMLElement {
  return h("span", { class: `badge ${state}` }, STATES[state] ?? state);
}

/** A link within the dashboard; main.ts follows it without loading the page again. */
export function link(to: string, text: string): HTMLAnchorElement {
  return h("a", { href: to, "data-link": true }, text);
}

/** A section of a stream's page: title, what stands beside it, content. */
export function section(title: string, beside: (Node | false)[], ...content: Node[]): HTMLElement {
  const id = `section-${title.toLowerCase().replaceAll(" ", "-")}`;
  return h(
    "section",
    { class: "card", "aria-labelledby": id },
    h("div", { class: "heading" }, h("h2", { id }, title), h("span", { class: "space" }), ...beside),
    ...content,
  );
}
