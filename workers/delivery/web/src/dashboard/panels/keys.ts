// The stream's publish keys: listed, made, renewed, revoked.

import { ofStream, post, remove } from "../api";
import { ask, showOnce } from "../dialog";
import { h } from "../dom";
import { when } from "../format";
import { notify } from "../notify";
import type { Life } from "../poll";
import { may, type Key, type Me, type NewKey } from "../types";
import { section } from "../views/parts";
import { list, type List } from "./list";

const ONCE = "Publishers need it, and it is not shown again. Keep it where you keep passwords.";
const OVERLAP_SECONDS = 3_600;

export function keysPanel(streamId: string, me: Me, life: Life): HTMLElement {
  const writes = may(me, "keys:write");
  const keys: List = list<Key>(
    {
      path: ofStream(streamId, "keys"),
      limit: 20,
      everyMs: 10_000,
      empty: "There are no keys.",
      columns: ["Name", "State", "Last used", "Expires", ...(writes ? [""] : [])],
      row: (key) =>
        h(
          "tr",
          { "data-key": key.id },
          h("th", { scope: "row" }, key.name, key.source === "spec" && h("span", { class: "quiet small origin" }, "of the manifest")),
          h("td", {}, stateOf(key)),
          h("td", {}, key.lastUsedAt ? when(key.lastUsedAt) : "never"),
          h("td", {}, key.expiresAt ? when(key.expiresAt) : "never"),
          writes && h("td", { class: "actions" }, ...actions(key)),
        ),
    },
    life,
  );
  const done = (text: string) => {
    notify(text);
    void keys.reload();
  };
  const actions = (key: Key) =>
    key.active && key.source === "api"
      ? [
          h("button", { type: "button", class: "plain", "aria-label": `Renew ${key.name}`, click: () => renew(key) }, "Renew"),
          h("button", { type: "button", class: "plain", "aria-label": `Revoke ${key.name}`, click: () => revoke(key) }, "Revoke"),
        ]
      : [];

  const create = () => {
    const name = h("input", { type: "text", name: "name", required: true, maxlength: 63, autocomplete: "off", spellcheck: "false" });
    const expires = h("input", { type: "datetime-local", name: "expires" });
    const body = [
      h("label", { class: "field" }, h("span", {}, "Name"), name),
      h("label", { class: "field" }, h("span", {}, "Expires (may be empty)"), expires),
    ];
    ask({ title: "New publish key", body, verb: "Make key" }, async () => {
      const expiresAt = expires.value ? { expiresAt: new Date(expires.value).toISOString() } : {};
      const made = await post<NewKey>(ofStream(streamId, "keys"), { name: name.value.trim(), ...expiresAt });
      done("The key is made.");
      showOnce("New publish key", made.key, ONCE);
    });
  };
  const renew = (key: Key) => {
    const body = [h("p", {}, `${key.name} gets a new secret. The old one is good for another hour.`)];
    ask({ title: "Renew this key?", body, verb: "Renew" }, async () => {
      const expiresAt = key.expiresAt ? { expiresAt: key.expiresAt } : {};
      const made = await post<NewKey>(ofStream(streamId, "keys", key.id, "rotate"), { overlapSeconds: OVERLAP_SECONDS, ...expiresAt });
      done("The key is renewed.");
      showOnce("Renewed publish key", made.key, ONCE);
    });
  };
  const revoke = (key: Key) => {
    const body = [h("p", {}, `Whoever publishes with ${key.name}, made ${when(key.createdAt)}, is cut off at once. This can't be undone.`)];
    ask({ title: "Revoke this key?", body, verb: "Revoke", danger: true }, async () => {
      await remove(ofStream(streamId, "keys", key.id));
      done("The key is revoked.");
    });
  };
  const make = writes && h("button", { type: "button", id: "new-key", click: create }, "New key");
  return section("Publish keys", [make], keys.content);
}

function stateOf(key: Key): HTMLElement {
  if (key.revokedAt) return h("span", { class: "badge ended" }, "Revoked");
  return h("span", { class: `badge ${key.active ? "good" : "ended"}` }, key.active ? "Active" : "Expired");
}
