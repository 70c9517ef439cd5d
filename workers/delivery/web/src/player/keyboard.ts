// What keys do. Keys of a focused control are that control's.

import type { Actions } from "./actions";
import { element } from "./page";

const STEP_SECONDS = 5;
const STEP_VOLUME = 0.1;

export function bindKeyboard(actions: Actions): void {
  const help = element<HTMLDialogElement>("help");
  const showHelp = () => help.showModal();
  element("keys").addEventListener("click", showHelp);
  const keys: Record<string, () => void> = {
    " ": actions.togglePlay,
    k: actions.togglePlay,
    m: actions.toggleMute,
    f: actions.toggleFull,
    l: actions.goLive,
    s: actions.toggleFigures,
    ArrowUp: () => actions.louder(STEP_VOLUME),
    ArrowDown: () => actions.louder(-STEP_VOLUME),
    ArrowLeft: () => actions.skip(-STEP_SECONDS),
    ArrowRight: () => actions.skip(STEP_SECONDS),
    "?": showHelp,
  };
  document.addEventListener("keydown", (event) => {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey || event.altKey || help.open || isTaken(event.target, key)) return;
    const act = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (!act) return;
    event.preventDefault();
    actions.show();
    act();
  });
}

function isTaken(target: EventTarget | null, key: string): boolean {
  if (target instanceof HTMLSelectElement) return true;
  if (target instanceof HTMLInputElement) return key.startsWith("Arrow") || key === " ";
  return target instanceof HTMLButtonElement && key === " ";
}
