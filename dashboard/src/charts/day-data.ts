import type { Group } from "../api/types";
import { type Nanos, sum } from "../format/decimal";
import { clock, dayInWords, dayOf, shortDay } from "../format/time";
import type { Bar, Series } from "./day-bars";

/** More real series than this become "other": the palette has five colours that neighbours can be told apart by. */
export const MOST_SERIES = 5;

/** Bars of the window, one a bucket; `parts` in the order of `series`, the last one being what is left of the bucket's total. */
export function barsOf(buckets: readonly Group[], rows: readonly Group[], keys: readonly string[], hasOther: boolean, tz: string, now: Date, hourly: boolean): Bar[] {
  const held = new Map<string, Map<string, string | null>>();
  for (const row of rows) {
    if (row.bucket == null || row.key === null) continue;
    const parts = held.get(row.bucket) ?? new Map<string, string | null>();
    parts.set(row.key, row.spend);
    held.set(row.bucket, parts);
  }
  const today = dayOf(now, tz);
  return buckets.map((bucket, index) => {
    const at = new Date(bucket.key!);
    const day = dayOf(at, tz);
    const parts = keys.map((key): Nanos => sum([held.get(bucket.key!)?.get(key)]));
    const whole = sum([bucket.spend]);
    const rest = parts.reduce((left, part) => left - part, whole);
    const last = index === buckets.length - 1;
    return {
      label: hourly ? clock(at, tz, false) : shortDay(day, today),
      words: hourly ? `${dayInWords(day)}, from ${clock(at, tz, false)}` : dayInWords(day),
      // Two answers may be a second apart; a part below nothing would be drawn upside down.
      parts: hasOther || keys.length === 0 ? [...parts, rest < 0n ? 0n : rest] : parts,
      isToday: last && (hourly ? now.getTime() - at.getTime() < 3_600_000 : day === today),
    };
  });
}

/** The drawn values with their colours, and what is left in grey. */
export function seriesOf(keys: readonly string[], colors: readonly number[], other: string | null): Series[] {
  const named = keys.map((name, index) => ({ name, color: colors[index] ?? 0 }));
  return other === null ? named : [...named, { name: other, color: 0 }];
}
