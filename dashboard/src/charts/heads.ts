/** Geometry of the per-head bar: all spend as one line, one segment a head, largest first. */
export interface Segment {
  readonly x: number;
  readonly width: number;
  /** Fades with rank: concentration shows before the table is read. */
  readonly opacity: number;
}

export interface Heads {
  readonly segments: readonly Segment[];
  readonly rest: Segment | null;
  readonly unattributed: Segment | null;
}

const GAP = 1;
const PALEST = 0.3;

/** `shares` are parts of the whole, largest first; `rest` are those not named; widths in pixels, gaps between them. */
export function heads(shares: readonly number[], rest: number, unattributed: number, width: number): Heads {
  const named = shares.filter((share) => share > 0);
  const total = named.reduce((sum, share) => sum + share, 0) + rest + unattributed;
  if (total <= 0 || width <= 0) return { segments: [], rest: null, unattributed: null };
  let x = 0;
  const next = (share: number, opacity: number): Segment => {
    const whole = (share / total) * width;
    // A gap takes a third of a narrow segment at most, so that nobody vanishes.
    const gap = Math.min(GAP, whole / 3);
    const segment = { x, width: whole - gap, opacity };
    x += whole;
    return segment;
  };
  const segments = named.map((share, rank) => next(share, 1 - (1 - PALEST) * Math.min(1, rank / Math.max(11, named.length - 1))));
  return {
    segments,
    rest: rest > 0 ? next(rest, PALEST) : null,
    unattributed: unattributed > 0 ? { ...next(unattributed, 1), width: (unattributed / total) * width } : null,
  };
}
