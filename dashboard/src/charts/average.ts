import type { Row } from "../api/types";
import { dollars, nanos, perUnit } from "../format/decimal";
import { roundText } from "../format/money";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the window before spent a day or an hour, by its exact length: month to date ends in the middle of a day. */
export function averageBefore(previous: Pick<Row, "spend"> | null | undefined, span: { from: string; to: string } | null | undefined, hourly: boolean, note = "before") {
  if (previous?.spend == null || !span) return undefined;
  const value = perUnit(nanos(previous.spend), Date.parse(span.to) - Date.parse(span.from), hourly ? HOUR_MS : DAY_MS);
  if (value === null || value === 0n) return undefined;
  return { value: dollars(value), text: `${roundText(value)} ${hourly ? "an hour" : "a day"}`, note };
}
