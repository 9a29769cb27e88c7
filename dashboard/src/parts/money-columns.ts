import type { Measures } from "../api/types";
import { type MoneyStyle, money } from "../format/money";

/** The slot that a column of amounts needs past its cents: as wide as the longest tail, none where all end at the cents. */
export function slotOf(rows: readonly (Pick<Measures, "spend"> | null | undefined)[], style: MoneyStyle = "table"): number {
  return Math.max(0, ...rows.map((row) => (row?.spend == null ? 0 : money(row.spend, style).tail.length)));
}

/** For lengths on screen: an unknown amount has none. */
export function spendNumber(row: Pick<Measures, "spend">): number {
  return row.spend === null ? 0 : Number(row.spend);
}

/** A row's part of the total; null where its spend is not known. Not the API's own share, which is rounded: what is there is never 0%. */
export function shareOf(row: Pick<Measures, "spend">, total: Pick<Measures, "spend">): number | null {
  if (row.spend === null) return null;
  const whole = spendNumber(total);
  return whole > 0 ? spendNumber(row) / whole : 0;
}

/** For lengths on screen: an unknown part has none. */
export function partOf(row: Pick<Measures, "spend">, total: Pick<Measures, "spend">): number {
  return shareOf(row, total) ?? 0;
}
