// What the page is of: its elements, and what its URL says.

/** The element of the page's HTML. */
export function element<E extends Element = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as Element as E;
}

/** Sets a text only when it differs: screen readers tell what is set. */
export function say(id: string, text: string): void {
  const where = element(id);
  if (where.textContent !== text) where.textContent = text;
}

/** What is watched, and with which right. */
export interface Source {
  readonly streamId: string;
  /** Of a stream that needs one: handed on with each playlist and the beacon. */
  readonly token: string | null;
  /** A random name of this visit, 32 hex digits: nothing about the person. */
  readonly viewer: string;
}

/** From `/watch/{stream}?token=…` or `/embed/{stream}?token=…`. */
export function sourceOf(page: Location): Source {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return {
    streamId: decodeURIComponent(page.pathname.split("/").pop() ?? ""),
    token: new URLSearchParams(page.search).get("token"),
    viewer: Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join(""),
  };
}

/** The URL with the token, unless it has one or there is none. */
export function withToken(url: string, { token }: Source): string {
  if (!token || /[?&]token=/.test(url)) return url;
  return `${url}${url.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}`;
}
