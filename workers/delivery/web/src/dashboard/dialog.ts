// Dialogs that ask before something is done, and show what it brought.

import { wordsFor } from "./api";
import { h, say, type Child } from "./dom";

interface Question {
  title: string;
  /** What is asked: texts and fields. */
  body: Child[];
  /** What the button says that does it. */
  verb: string;
  danger?: boolean;
  /** It has to be typed before it is done. */
  typed?: string;
}

/** Asks, does it when told so, and stays open with the reason when that fails. */
export function ask(question: Question, act: (form: FormData) => Promise<void>): void {
  const { title, body, verb, danger, typed } = question;
  const failed = h("p", { class: "failed", role: "alert" });
  const button = h("button", { type: "submit", class: danger ? "danger" : "primary", disabled: typed !== undefined }, verb);
  const field = typed === undefined ? null : confirmation(typed, button);
  const submit = async () => {
    button.disabled = true;
    say(failed, "");
    try {
      await act(new FormData(form));
      dialog.close();
    } catch (error) {
      say(failed, wordsFor(error));
      button.disabled = false;
    }
  };
  const form = h(
    "form",
    { submit: () => void submit() },
    h("h2", { id: "dialog-title" }, title),
    ...body,
    field,
    failed,
    h("div", { class: "buttons" }, h("button", { type: "button", click: () => dialog.close() }, "Cancel"), button),
  );
  const dialog = show(form);
}

/** Shows a secret the only time it is seen. */
export function showOnce(title: string, secret: string, words: string): void {
  const field = h("textarea", { readonly: true, rows: 2, "aria-label": title, class: "secret", spellcheck: "false" }, secret);
  const copied = h("span", { class: "quiet", role: "status" });
  const copy = async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(secret);
      say(copied, "Copied.");
    } catch {
      // Without https there is no clipboard; it is selected.
      say(copied, document.execCommand("copy") ? "Copied." : "Selected: copy it with the keyboard.");
    }
  };
  const dialog = show(
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, words),
      h("div", { class: "row" }, field, h("button", { type: "button", click: () => void copy() }, "Copy")),
      copied,
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "I have kept it")),
    ),
  );
  // Not by a slip of the hand: it is not shown again.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
}

function confirmation(typed: string, button: HTMLButtonElement): HTMLElement {
  const input = h("input", { type: "text", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  input.addEventListener("input", () => {
    button.disabled = input.value !== typed;
  });
  return h("label", { class: "field" }, h("span", {}, "Type ", h("b", {}, typed), " to confirm"), input);
}

function show(form: HTMLFormElement): HTMLDialogElement {
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
