// Asks the API. The token is kept in this tab's session only.

const TOKEN = "millrace.token";
const TIME_OUT_MS = 15_000;

/** An answer that is none (RFC 9457), or none at all (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    title: string,
    readonly detail: string,
  ) {
    super(title);
  }

  /** In words for a person. */
  get text(): string {
    if (this.status === 0) return "The server can't be reached.";
    if (this.status === 403) return `Not allowed. ${this.detail}`.trim();
    return this.detail || this.message;
  }
}

export function hasToken(): boolean {
  return sessionStorage.getItem(TOKEN) !== null;
}

export function keepToken(token: string): void {
  sessionStorage.setItem(TOKEN, token);
}

export function dropToken(): void {
  sessionStorage.removeItem(TOKEN);
}

/** Called when the API does not know the token (any more). */
let unknown = (): void => undefined;
export function onUnknownToken(act: () => void): void {
  unknown = act;
}

type Arguments = Record<string, string | number | null | undefined>;

export function get<T>(path: string, query: Arguments = {}, signal?: AbortSignal): Promise<T> {
  return ask<T>("GET", path, query, undefined, signal);
}

export function post<T>(path: string, body: object = {}): Promise<T> {
  return ask<T>("POST", path, {}, body);
}

export function remove(path: string): Promise<void> {
  return ask<void>("DELETE", path, {});
}

async function ask<T>(method: string, path: string, query: Arguments, body?: object, signal?: AbortSignal): Promise<T> {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  const headers: Record<string, string> = { accept: "application/json" };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers["authorization"] = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const limit = AbortSignal.timeout(TIME_OUT_MS);
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}${text && `?${text}`}`, {
      method,
      headers,
      body: body ? JSON.stringify(body) : null,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "No answer", "");
  }
  if (!response.ok) throw await problemOf(response);
  const told = await response.text();
  return (told ? JSON.parse(told) : undefined) as T;
}

interface Told {
  title?: string;
  detail?: string;
  errors?: { field: string; detail: string }[];
}

async function problemOf(response: Response): Promise<Problem> {
  const told = (await response.json().catch(() => ({}))) as Told;
  if (response.status === 401) unknown();
  const fields = (told.errors ?? []).map(({ field, detail }) => `${field}: ${detail}`);
  return new Problem(response.status, told.title ?? `Error ${response.status}`, fields.join("; ") || (told.detail ?? ""));
}

/** What to say of an error, whatever it is. */
export function wordsFor(error: unknown): string {
  return error instanceof Problem ? error.text : "Something went wrong in this page.";
}

/** `/streams/{id}` and what is below. */
export function ofStream(streamId: string, ...below: string[]): string {
  return ["/streams", streamId, ...below].map((part, at) => (at === 0 ? part : encodeURIComponent(part))).join("/");
}
