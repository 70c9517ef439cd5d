// How far back the charts go.

import { h } from "../dom";

const RANGES: [string, number][] = [
  ["15 min", 15 * 60],
  ["1 h", 3_600],
  ["6 h", 6 * 3_600],
  ["24 h", 24 * 3_600],
];

export function rangePicker(changed: (seconds: number) => void) {
  let chosen = RANGES[0]?.[1] ?? 900;
  const choices = RANGES.map(([name, seconds]) => {
    const input = h("input", { type: "radio", name: "range", value: seconds, checked: seconds === chosen });
    input.addEventListener("change", () => {
      chosen = seconds;
      changed(seconds);
    });
    return h("label", {}, input, h("span", {}, name));
  });
  return {
    element: h("fieldset", { class: "ranges" }, h("legend", { class: "unseen" }, "Time shown"), ...choices),
    seconds: () => chosen,
  };
}
