// Asks again and again while somebody looks.

/** What ends with a view. */
export class Life {
  private readonly controller = new AbortController();

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get over(): boolean {
    return this.controller.signal.aborted;
  }

  end(): void {
    this.controller.abort();
  }
}

/**
 * Does `act` now and a time after each end of it, until the life is over; not
 * while the tab is hidden, and at once when it is shown again. After a failure
 * it waits longer, up to eight times.
 */
export function repeat(life: Life, everyMs: number, act: () => Promise<boolean>): void {
  let timer: number | undefined;
  let busy = false;
  let failures = 0;
  const step = async () => {
    clearTimeout(timer);
    if (life.over || busy || document.hidden) return;
    busy = true;
    failures = (await act()) ? 0 : Math.min(3, failures + 1);
    busy = false;
    if (!life.over) timer = window.setTimeout(step, everyMs * 2 ** failures);
  };
  document.addEventListener("visibilitychange", () => void step(), { signal: life.signal });
  life.signal.addEventListener("abort", () => clearTimeout(timer));
  void step();
}
