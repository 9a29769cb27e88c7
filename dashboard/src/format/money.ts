import { CENT, type Nanos, divide, exact, fixed, nanos } from "./decimal";

/**
 * Where an amount stands decides its digits: `table` (users, models, tags) two decimals, `trace` (traces, events) four up to
 * 100, `part` (one event's cost parts) six. Below what those can show, two significant digits: never 0.00 for what is not nothing.
 */
export type MoneyStyle = "table" | "trace" | "part";

/** `tail` is what stands past the cents, in a slot of its own, so that cents align down a column. */
export interface Digits {
  readonly head: string;
  readonly tail: string;
}

const MOST = 9;

export function money(amount: string, style: MoneyStyle = "table"): Digits {
  const value = nanos(amount);
  if (value === 0n) return { head: "0.00", tail: style === "part" ? "0000" : "" };
  const text = grouped(fixed(value, decimalsOf(value < 0n ? -value : value, style)));
  const cents = text.indexOf(".") + 3;
  return { head: text.slice(0, cents), tail: text.slice(cents) };
}

/** As one string, without a sign of currency. */
export function amountText(amount: string, style: MoneyStyle = "table"): string {
  const { head, tail } = money(amount, style);
  return head + tail;
}

/** With `$`: totals, key figures and prose. */
export function dollarText(amount: string, style: MoneyStyle = "table"): string {
  const text = amountText(amount, style);
  return text.startsWith("-") ? `-$${text.slice(1)}` : `$${text}`;
}

/** Every digit, for the tooltip. */
export function exactText(amount: string): string {
  const [whole, rest] = exact(nanos(amount)).split(".");
  return grouped(whole!) + (rest ? `.${rest}` : "");
}

/** Whole dollars, `k` from 1,000, `M` from a million; a scale that ends below a few dollars has cents, and past them what its step needs. */
export function axisText(value: number, step: number): string {
  if (value === 0) return "0";
  if (value >= 1e6) return `${trimmed(value / 1e6, 3)}M`;
  if (value >= 1000) return `${trimmed(value / 1000, 3)}k`;
  if (step >= 1) return trimmed(value, 1);
  const [figures, power] = step.toExponential(1).split("e");
  const decimals = (figures!.endsWith(".0") ? 0 : 1) - Number(power);
  return value.toFixed(Math.min(MOST, Math.max(2, decimals)));
}

/** A forecast, an average, a peak: whole dollars, and cents where dollars would say nothing. */
export function roundText(value: Nanos): string {
  return value >= 10n * 10n ** 9n ? `$${grouped(fixed(value, 0))}` : dollarText(exact(value));
}

/** The mean of an amount over a count; null where there is nobody to divide by. */
export function mean(amount: Nanos, count: number): string | null {
  return count > 0 ? exact(divide(amount, BigInt(count))) : null;
}

/** A price as it is: every digit of it, two decimals at least. */
export function priceText(price: string): string {
  const text = exactText(price);
  const decimals = text.split(".")[1]?.length ?? 0;
  return decimals >= 2 ? text : amountText(price);
}

/** Dollars per million tokens. */
export function perMillion(amount: string, tokens: number): string | null {
  return tokens > 0 ? exact(divide(nanos(amount) * 1_000_000n, BigInt(tokens))) : null;
}

function decimalsOf(value: Nanos, style: MoneyStyle): number {
  if (style === "part") return value < 1000n ? significant(value) : 6;
  if (style === "trace") {
    if (value >= 100n * 10n ** 9n) return 2;
    return value < 10n ** 5n ? significant(value) : 4;
  }
  return value < CENT ? significant(value) : 2;
}

/** Decimals for two significant digits; what rounds up to a cent is a cent. */
function significant(value: Nanos): number {
  const places = (v: Nanos): number => Math.min(MOST, MOST - String(v).length + 2);
  const decimals = places(value);
  const rounded = nanos(fixed(value, decimals));
  return rounded >= CENT ? 2 : places(rounded);
}

function grouped(text: string): string {
  const [whole, rest] = text.split(".");
  return whole!.replace(/\B(?=(\d{3})+$)/g, ",") + (rest === undefined ? "" : `.${rest}`);
}

function trimmed(value: number, decimals: number): string {
  return value.toFixed(decimals).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}
