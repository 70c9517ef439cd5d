// A panel that shows a list of the API, and more of it on demand.

import { get, wordsFor } from "../api";
import { fill, h, say } from "../dom";
import { repeat, type Life } from "../poll";
import type { Page } from "../types";

interface Shape<T> {
  path: string;
  limit: number;
  everyMs: number;
  /** What is said when there is none. */
  empty: string;
  columns: string[];
  row: (item: T) => HTMLTableRowElement;
}

export interface List {
  content: HTMLElement;
  reload: () => Promise<boolean>;
}

export function list<T>(shape: Shape<T>, life: Life): List {
  const { columns } = shape;
  let limit = shape.limit;
  const failed = h("p", { class: "failed", role: "alert" });
  const body = h("tbody", {}, h("tr", {}, h("td", { colspan: columns.length, class: "empty" }, "Loading…")));
  const more = h("button", { type: "button", hidden: true, click: () => {
    limit = Math.min(200, limit * 4);
    void reload();
  } }, "Show more");
  let shown = "";
  const render = (items: T[]) => {
    const focused = document.activeElement?.getAttribute("aria-label");
    const none = h("tr", {}, h("td", { colspan: columns.length, class: "empty" }, shape.empty));
    fill(body, ...(items.length > 0 ? items.map(shape.row) : [none]));
    if (focused) body.querySelector<HTMLElement>(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
  };
  const reload = async () => {
    try {
      const page = await get<Page<T>>(shape.path, { limit }, life.signal);
      more.hidden = !page.next || limit >= 200;
      // Nothing is moved under a hand for no reason.
      const said = JSON.stringify(page.items);
      if (said !== shown) render(page.items);
      shown = said;
      say(failed, "");
      return true;
    } catch (error) {
      if (!life.over) say(failed, wordsFor(error));
      return false;
    }
  };
  const head = h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Actions")))));
  repeat(life, shape.everyMs, reload);
  return { content: h("div", {}, failed, h("div", { class: "scroll" }, h("table", {}, head, body)), more), reload };
}
