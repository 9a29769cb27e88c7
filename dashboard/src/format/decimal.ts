/** Money as a whole number of nano-dollars: what the API sends has nine decimals at most, so sums here are exact. */
export type Nanos = bigint;

const DECIMALS = 9;
export const DOLLAR: Nanos = 10n ** 9n;
export const CENT: Nanos = 10n ** 7n;

/** "418.2665" -> 418266500000n. Throws on what is no decimal: a wrong amount must not become a zero. */
export function nanos(amount: string): Nanos {
  const match = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(amount);
  if (!match) throw new RangeError(`not an amount: ${amount}`);
  const value = BigInt(match[2]! + (match[3] ?? "").padEnd(DECIMALS, "0"));
  return match[1] ? -value : value;
}

/** Every stored digit and no more: 418266500000n -> "418.2665". */
export function exact(value: Nanos): string {
  return fixed(value, DECIMALS).replace(/\.?0+$/, "") || "0";
}

/** With this many decimals, rounded half to even as the server rounds. */
export function fixed(value: Nanos, decimals: number): string {
  const units = divide(value, 10n ** BigInt(DECIMALS - decimals));
  const sign = units < 0n ? "-" : "";
  const digits = String(units < 0n ? -units : units).padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  return sign + digits.slice(0, point) + (decimals ? `.${digits.slice(point)}` : "");
}

/** Half to even. */
export function divide(value: bigint, by: bigint): bigint {
  if (by < 0n) return divide(-value, -by);
  const quotient = value / by;
  const rest = value % by;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  const up = twice > by || (twice === by && quotient % 2n !== 0n);
  return up ? quotient + (value < 0n ? -1n : 1n) : quotient;
}

/** Of decimal strings; null (unknown) adds nothing. */
export function sum(amounts: Iterable<string | null | undefined>): Nanos {
  let total = 0n;
  for (const amount of amounts) if (amount != null) total += nanos(amount);
  return total;
}

/** Of amounts of which some are not known: null where nothing is known and something is not, as in the API. */
export function knownSum(amounts: readonly (Nanos | null)[]): Nanos | null {
  const total = amounts.reduce<Nanos>((all, amount) => all + (amount ?? 0n), 0n);
  return total === 0n && amounts.includes(null) ? null : total;
}

/** A decimal string as it is; unknown stays unknown. */
export function nanosOrNull(amount: string | null | undefined): Nanos | null {
  return amount == null ? null : nanos(amount);
}

/** An amount per day or hour over the exact time that it took; null where it took less than one (a day may have 23 hours). */
export function perUnit(amount: Nanos, ms: number, unitMs: number): Nanos | null {
  return ms * 24 < unitMs * 23 ? null : divide(amount * BigInt(unitMs), BigInt(Math.round(ms)));
}

/** For lengths and angles on screen alone, never for a figure that is read. */
export function dollars(value: Nanos): number {
  return Number(value) / 1e9;
}
