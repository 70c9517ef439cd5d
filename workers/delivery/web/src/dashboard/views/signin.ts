// Asks for a token and tries it.

import { Problem, dropToken, get, keepToken, wordsFor } from "../api";
import { fill, h, say } from "../dom";
import type { Me } from "../types";

export function showSignIn(main: HTMLElement, why: string, signedIn: (me: Me) => void): void {
  document.title = "Sign in · Millrace";
  const field = h("input", {
    type: "password", name: "token", id: "token", required: true, autocomplete: "off", spellcheck: "false", "aria-describedby": "token-help",
  });
  const failed = h("p", { class: "failed", role: "alert", id: "signin-failed" }, why);
  const button = h("button", { type: "submit", class: "primary" }, "Sign in");
  const submit = async () => {
    const token = field.value.trim();
    if (!token) return;
    button.disabled = true;
    say(failed, "");
    keepToken(token);
    try {
      signedIn(await get<Me>("/me"));
    } catch (error) {
      dropToken();
      const wrong = error instanceof Problem && error.status === 401;
      // Shown by this form: the page's own answer to a 401 would clear it.
      fill(failed, wrong ? "This token is not known, or no longer." : wordsFor(error));
      button.disabled = false;
      field.focus();
    }
  };
  fill(
    main,
    h(
      "form",
      { class: "signin", submit: () => void submit() },
      h("h1", {}, "Millrace"),
      h("p", { class: "quiet" }, "Sign in to see the streams of this installation."),
      h("label", { class: "field" }, h("span", {}, "Access token"), field),
      h("p", { class: "quiet small", id: "token-help" }, "A token of this API, or one of Kubernetes. It stays in this tab until you sign out or close it."),
      failed,
      button,
    ),
  );
  field.focus();
}
