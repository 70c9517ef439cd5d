// Makes elements. Texts are texts: nothing here takes HTML.

export type Child = Node | string | null | false;

interface Attributes {
  class?: string;
  /** Called on clicks. */
  click?: (event: MouseEvent) => void;
  /** Called when a form is submitted, which is then not sent. */
  submit?: () => void;
  [attribute: string]: unknown;
}

export function h<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "click") made.addEventListener("click", value as EventListener);
    else if (name === "submit") onSubmit(made, value as () => void);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== false));
  return made;
}

function onSubmit(form: HTMLElement, act: () => void): void {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

/** Puts these in place of what was there. */
export function fill(where: Element, ...children: Child[]): void {
  where.replaceChildren(...children.filter((child) => child !== null && child !== false));
}

/** Sets a text only when it differs, so that a selection in it stays. */
export function say(where: Element, text: string): void {
  if (where.textContent !== text) where.textContent = text;
}
