import { type Day, addDays, clock, dayInWords, dayOf, dayRange, daysBetween, monthName } from "../format/time";

/** What the API's `window` takes. */
export const PRESETS = ["1d", "7d", "28d", "90d", "mtd", "last-month"] as const;
export type Preset = (typeof PRESETS)[number];

/** `from` included, `to` excluded; each a day (midnight of the zone) or an RFC 3339 instant, as in the API. */
export type Window = { readonly preset: Preset } | { readonly from: string; readonly to: string };

export const DEFAULT_WINDOW: Window = { preset: "28d" };

const PRESET_NAMES: Record<Preset, string> = {
  "1d": "Last 24 hours",
  "7d": "Last 7 days",
  "28d": "Last 28 days",
  "90d": "Last 90 days",
  mtd: "Month to date",
  "last-month": "Last month",
};

/** The key that chooses it while the window's list is open. */
export const PRESET_KEYS: Record<Preset, string> = { "1d": "1", "7d": "7", "28d": "8", "90d": "9", mtd: "m", "last-month": "l" };

const DAY = /^\d{4}-\d{2}-\d{2}$/;

export function isPreset(text: string | null): text is Preset {
  return (PRESETS as readonly string[]).includes(text ?? "");
}

export function sameWindow(a: Window, b: Window): boolean {
  if ("preset" in a) return "preset" in b && a.preset === b.preset;
  return "from" in b && a.from === b.from && a.to === b.to;
}

/** The first and the last day that a window touches, in the zone. */
export function daysOf(window: Window, now: Date, tz: string): { from: Day; last: Day } {
  const today = dayOf(now, tz);
  if ("from" in window) {
    return {
      from: DAY.test(window.from) ? window.from : dayOf(new Date(window.from), tz),
      last: DAY.test(window.to) ? addDays(window.to, -1) : dayOf(new Date(Date.parse(window.to) - 1), tz),
    };
  }
  if (window.preset === "mtd") return { from: firstOfMonth(today), last: today };
  if (window.preset === "last-month") {
    const first = firstOfMonth(today);
    return { from: firstOfMonth(addDays(first, -1)), last: addDays(first, -1) };
  }
  // N times 24 hours that end now: they touch the day on which they begin.
  return { from: dayOf(new Date(now.getTime() - lengthOf(window.preset) * 86_400_000), tz), last: today };
}

/** The name leads, the dates follow. */
export function windowName(window: Window, now: Date, tz: string): { name: string; dates: string } {
  const { from, last } = daysOf(window, now, tz);
  const dates = dayRange(from, last, dayOf(now, tz));
  if ("preset" in window) return { name: PRESET_NAMES[window.preset], dates };
  if (!isWholeDays(window)) {
    const [start, end] = [new Date(window.from), new Date(window.to)];
    return { name: "Custom", dates: `${dates}, ${clock(start, tz, false)} – ${clock(end, tz, false)}` };
  }
  if (isMonth(window)) return { name: `${monthName(from)} ${from.slice(0, 4)}`, dates };
  if (from === last) return { name: dayInWords(from), dates: from.slice(0, 4) };
  return { name: `${daysBetween(from, last) + 1} days`, dates };
}

export function presetName(preset: Preset): string {
  return PRESET_NAMES[preset];
}

/** What the window is compared with, in words: "1 – 23 Oct, same hour". The server applies the same rules. */
export function previousName(window: Window, now: Date, tz: string): string {
  const { from, last } = daysOf(window, now, tz);
  const today = dayOf(now, tz);
  if ("from" in window) {
    if (!isWholeDays(window)) return "the same length before";
    const days = daysBetween(from, last) + 1;
    return dayRange(addDays(from, -days), addDays(from, -1), today);
  }
  if (window.preset === "mtd") {
    const earlier = firstOfMonth(addDays(from, -1));
    const same = addDays(earlier, daysBetween(from, today));
    // 31 March compares with all of February.
    return same < from ? `${dayRange(earlier, same, today)}, same hour` : dayRange(earlier, addDays(from, -1), today);
  }
  if (window.preset === "last-month") return dayRange(firstOfMonth(addDays(from, -1)), addDays(from, -1), today);
  const length = lengthOf(window.preset) * 86_400_000;
  return dayRange(dayOf(new Date(now.getTime() - 2 * length), tz), dayOf(new Date(now.getTime() - length), tz), today);
}

/** One step earlier (-1) or later (1) of the same length; null where there is nothing later than now. */
export function step(window: Window, direction: 1 | -1, now: Date, tz: string): Window | null {
  const today = dayOf(now, tz);
  if ("preset" in window) {
    if (direction === 1) return window.preset === "last-month" ? { preset: "mtd" } : null;
    if (window.preset === "mtd") return { preset: "last-month" };
    if (window.preset === "last-month") return monthBefore(firstOfMonth(addDays(firstOfMonth(today), -1)));
    // Whole days before those that the rolling window ends with.
    const days = lengthOf(window.preset);
    const to = addDays(today, 1 - days);
    return { from: addDays(to, -days), to };
  }
  if (!isWholeDays(window)) {
    const length = Date.parse(window.to) - Date.parse(window.from);
    const [from, to] = [Date.parse(window.from) + direction * length, Date.parse(window.to) + direction * length];
    return from >= now.getTime() ? null : { from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  }
  if (isMonth(window)) {
    if (direction === -1) return monthBefore(window.from);
    if (window.to > today) return null;
    return monthOf(window.to, today);
  }
  const days = daysBetween(window.from, window.to);
  const [from, to] = [addDays(window.from, direction * days), addDays(window.to, direction * days)];
  if (to <= today) return { from, to };
  const rolling = `${days}d`;
  if (window.to > today) return null;
  return isPreset(rolling) ? { preset: rolling } : from <= today ? { from, to } : null;
}

/** The shortest of the usual windows that holds this moment; its month where it is further back than they reach. */
export function windowAround(at: Date, now: Date, tz: string): Window {
  const age = now.getTime() - at.getTime();
  // An hour's margin: the window moves on while one reads.
  const preset = (["28d", "90d"] as const).find((name) => age < lengthOf(name) * 86_400_000 - 3_600_000);
  if (preset !== undefined) return { preset };
  const first = firstOfMonth(dayOf(at, tz));
  return { from: first, to: nextMonth(first) };
}

/** A window within a sentence: "in these 7 days", "this month". */
export function windowWords(window: Window, now: Date, tz: string): string {
  if ("preset" in window) {
    if (window.preset === "mtd") return "this month";
    if (window.preset === "last-month") return "last month";
    return window.preset === "1d" ? "in these 24 hours" : `in these ${lengthOf(window.preset)} days`;
  }
  if (!isWholeDays(window)) return "in this window";
  const { name } = windowName(window, now, tz);
  if (isMonth(window)) return `in ${name}`;
  return window.to === addDays(window.from, 1) ? `on ${name}` : `in these ${name}`;
}

function monthBefore(first: Day): Window {
  return { from: firstOfMonth(addDays(first, -1)), to: first };
}

/** A month by its name where it has one: this month is "month to date". */
function monthOf(first: Day, today: Day): Window {
  const thisMonth = firstOfMonth(today);
  if (first === thisMonth) return { preset: "mtd" };
  if (first === firstOfMonth(addDays(thisMonth, -1))) return { preset: "last-month" };
  return { from: first, to: nextMonth(first) };
}

function isWholeDays(window: { from: string; to: string }): boolean {
  return DAY.test(window.from) && DAY.test(window.to);
}

function isMonth(window: { from: string; to: string }): boolean {
  return window.from.endsWith("-01") && window.to === nextMonth(window.from);
}

function firstOfMonth(day: Day): Day {
  return `${day.slice(0, 8)}01`;
}

function nextMonth(first: Day): Day {
  return firstOfMonth(addDays(first, 31));
}

function lengthOf(preset: "1d" | "7d" | "28d" | "90d"): number {
  return Number(preset.slice(0, -1));
}
