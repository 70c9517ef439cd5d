// Figures of a judge's summary.

/** How many values there are, and which are in the middle and at the far end. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : null);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}

export function round(seconds) {
  return Math.round(seconds * 100) / 100;
}
