// The dashboard: signs in, and shows what the address says.

import { dropToken, get, hasToken, onUnknownToken, Problem, wordsFor } from "./api";
import { fill, h } from "./dom";
import { Life } from "./poll";
import type { Me } from "./types";
import { link } from "./views/parts";
import { showSignIn } from "./views/signin";
import { showStream } from "./views/stream";
import { showStreams } from "./views/streams";

const main = document.getElementById("main") as HTMLElement;
const bar = document.getElementById("top") as HTMLElement;

let life = new Life();
let me: Me | null = null;

function signOut(why = ""): void {
  dropToken();
  me = null;
  life.end();
  // A secret that was not kept yet is shown this once.
  document.querySelectorAll<HTMLDialogElement>("dialog:not(:has(.secret))").forEach((dialog) => dialog.close());
  fill(bar);
  showSignIn(main, why, signIn);
}

function signIn(who: Me): void {
  me = who;
  fill(
    bar,
    link("/dashboard", "Millrace"),
    h("span", { class: "space" }),
    h("span", { class: "quiet who", title: who.subject }, nameOf(who)),
    h("button", { type: "button", class: "plain", id: "sign-out", click: () => signOut() }, "Sign out"),
  );
  show();
}

/** Without the id of the token. */
function nameOf({ subject }: Me): string {
  return subject.replace(/:[0-9a-f-]{36}$/, "");
}

function show(): void {
  if (!me) return;
  life.end();
  life = new Life();
  const [, , streamId] = location.pathname.split("/");
  if (streamId) showStream(main, life, decodeURIComponent(streamId), me);
  else showStreams(main, life);
}

async function start(): Promise<void> {
  if (!hasToken()) return signOut();
  try {
    signIn(await get<Me>("/me"));
  } catch (error) {
    if (error instanceof Problem && error.status === 401) return;
    const again = h("button", { type: "button", class: "primary", click: () => void start() }, "Try again");
    fill(main, h("div", { class: "signin" }, h("h1", {}, "Millrace"), h("p", { class: "failed", role: "alert" }, wordsFor(error)), again));
  }
}

onUnknownToken(() => {
  // While signing in, the form says it.
  if (me || !document.getElementById("signin-failed")) signOut("Your token is not known any more. Sign in again.");
});
document.addEventListener("click", (event) => {
  const to = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[data-link]") : null;
  if (!to || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  history.pushState(null, "", to.href);
  show();
  window.scrollTo(0, 0);
  main.focus({ preventScroll: true });
});
window.addEventListener("popstate", show);
void start();
