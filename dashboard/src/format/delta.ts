import { count } from "./count";
import { DOLLAR, divide, nanos } from "./decimal";

export type Delta =
  /** Nothing on both sides, or not known: the question does not apply. */
  | { readonly kind: "none" }
  /** Nothing before. */
  | { readonly kind: "new" }
  | { readonly kind: "up" | "down" | "flat"; readonly text: string };

/** Amounts are decimal strings, counts are integers; null before is "nothing was". */
export function delta(now: string | number | null | undefined, before: string | number | null | undefined): Delta {
  if (now == null) return { kind: "none" };
  const current = scaled(now);
  const earlier = before == null ? 0n : scaled(before);
  if (earlier === 0n) return current === 0n ? { kind: "none" } : { kind: "new" };
  if (current === earlier) return { kind: "flat", text: "0%" };
  const kind = current > earlier ? "up" : "down";
  // From ten times on, a percentage is harder to read than a factor.
  if (current >= earlier * 10n) return { kind, text: `× ${count(Number(divide(current, earlier)))}` };
  const change = current > earlier ? current - earlier : earlier - current;
  const thousandths = divide(change * 1000n, earlier);
  if (thousandths >= 100n) return { kind, text: `${divide(change * 100n, earlier)}%` };
  return { kind, text: `${thousandths / 10n}.${thousandths % 10n}%` };
}

/** A mover worth bold ink: up by half or more, and by at least this many dollars. */
export function isBigMover(now: string | null | undefined, before: string | null | undefined, dollars = 20): boolean {
  if (now == null) return false;
  const earlier = before == null ? 0n : nanos(before);
  const change = nanos(now) - earlier;
  return earlier > 0n && change * 2n >= earlier && change >= BigInt(dollars) * DOLLAR;
}

function scaled(value: string | number): bigint {
  return typeof value === "string" ? nanos(value) : BigInt(Math.round(value * 1e6)) * 1000n;
}
