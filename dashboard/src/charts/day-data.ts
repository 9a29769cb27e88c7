import type { Group } from "../api/types";
import { type Nanos, nanosOrNull } from "../format/decimal";
import { clock, dayInWords, dayOf, shortDay } from "../format/time";
import type { Bar, Series } from "./day-bars";

/** More real series than this become "other": the palette has five colours that neighbours can be told apart by. */
export const MOST_SERIES = 5;

/** Bars of the window, one a bucket; `parts` in the order of `series`, the last one being what is left of the bucket's total. */
export function barsOf(buckets: readonly Group[], rows: readonly Group[], keys: readonly string[], hasOther: boolean, tz: string, now: Date, hourly: boolean): Bar[] {
  const held = new Map<string, Map<string, Group>>();
  for (const row of rows) {
    if (row.bucket == null || row.key === null) continue;
    const parts = held.get(row.bucket) ?? new Map<string, Group>();
    parts.set(row.key, row);
    held.set(row.bucket, parts);
  }
  const today = dayOf(now, tz);
  return buckets.map((bucket, index) => {
    const at = new Date(bucket.key!);
    const day = dayOf(at, tz);
    const rowsOf = keys.map((key) => held.get(bucket.key!)?.get(key));
    // Without a row there was nothing; with one that has no spend it is not known.
    const parts = rowsOf.map((row): Nanos | null => (row === undefined ? 0n : nanosOrNull(row.spend)));
    const rest = restOf(bucket, rowsOf, parts);
    const last = index === buckets.length - 1;
    return {
      label: hourly ? clock(at, tz, false) : shortDay(day, today),
      words: hourly ? `${dayInWords(day)}, from ${clock(at, tz, false)}` : dayInWords(day),
      parts: hasOther || keys.length === 0 ? [...parts, rest] : parts,
      isToday: last && (hourly ? now.getTime() - at.getTime() < 3_600_000 : day === today),
    };
  });
}

/** What is left of a bucket beside its parts; null where all that is left has no price. */
function restOf(bucket: Group, rows: readonly (Group | undefined)[], parts: readonly (Nanos | null)[]): Nanos | null {
  const whole = nanosOrNull(bucket.spend);
  const rest = parts.reduce<Nanos>((left, part) => left - (part ?? 0n), whole ?? 0n);
  if (rest > 0n) return rest;
  const unpriced = bucket.unpriced_events - rows.reduce((count, row) => count + (row?.unpriced_events ?? 0), 0);
  // Two answers may be a second apart; a part below nothing would be drawn upside down.
  return unpriced > 0 ? null : 0n;
}

/** The drawn values with their colours, and what is left in grey. */
export function seriesOf(keys: readonly string[], colors: readonly number[], other: string | null): Series[] {
  const named = keys.map((name, index) => ({ name, color: colors[index] ?? 0 }));
  return other === null ? named : [...named, { name: other, color: 0 }];
}
