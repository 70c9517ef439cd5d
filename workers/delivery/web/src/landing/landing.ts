// The landing page: opens a stream by its id and remembers the last one on
// this device. It asks the server for nothing: which streams exist is not
// public.

const LAST = "millrace.last";

const form = document.querySelector<HTMLFormElement>("#open");
const input = document.querySelector<HTMLInputElement>("#stream");
const recent = document.querySelector<HTMLElement>("#recent");

const last = localStorage.getItem(LAST);
if (recent && last && /^[a-z0-9-]+\.[a-z0-9-]+$/.test(last)) {
  const link = document.createElement("a");
  link.href = `/watch/${last}`;
  link.textContent = last;
  recent.append("Last watched: ", link);
  recent.hidden = false;
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const id = input?.value.trim() ?? "";
  if (id) location.assign(`/watch/${encodeURIComponent(id)}`);
});
