/** Everything on screen is in the zone that the scope bar names; formatters are made once per zone. */
const made = new Map<string, Intl.DateTimeFormat>();

function formatter(tz: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = tz + JSON.stringify(options);
  let held = made.get(key);
  if (!held) {
    held = new Intl.DateTimeFormat("en-GB", { timeZone: tz, ...options });
    made.set(key, held);
  }
  return held;
}

/** A calendar day, as "2026-11-23": days compare and count without a zone. */
export type Day = string;

export function dayOf(at: Date, tz: string): Day {
  const parts = formatter(tz, { year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(at);
  return (["year", "month", "day"] as const).map((type) => parts.find((part) => part.type === type)!.value).join("-");
}

export function addDays(day: Day, days: number): Day {
  const at = new Date(`${day}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + days);
  return at.toISOString().slice(0, 10);
}

export function daysBetween(from: Day, to: Day): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / 86_400_000);
}

/** 14:32:07, or 14:32. */
export function clock(at: Date, tz: string, seconds = true): string {
  return formatter(tz, { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), hourCycle: "h23" }).format(at);
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LONG_MONTHS = [
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
]; // prettier-ignore
const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** 9 Nov; with its year when that is not this year. */
export function shortDay(day: Day, today?: Day): string {
  const [year, month, date] = day.split("-");
  const text = `${Number(date)} ${MONTHS[Number(month) - 1]!}`;
  return today !== undefined && today.slice(0, 4) !== year ? `${text} ${year!}` : text;
}

export function monthName(day: Day): string {
  return LONG_MONTHS[Number(day.slice(5, 7)) - 1]!;
}

/** Thursday 12 November. */
export function dayInWords(day: Day): string {
  const at = new Date(`${day}T00:00:00Z`);
  return `${WEEKDAYS[at.getUTCDay()]!} ${at.getUTCDate()} ${monthName(day)}`;
}

/** 1 – 23 Nov; 26 Oct – 23 Nov. Both days are shown as included. */
export function dayRange(from: Day, last: Day, today?: Day): string {
  if (from === last) return shortDay(from, today);
  if (from.slice(0, 7) === last.slice(0, 7)) return `${Number(from.slice(8))} – ${shortDay(last, today)}`;
  return `${shortDay(from, from.slice(0, 4) === last.slice(0, 4) ? undefined : today)} – ${shortDay(last, today)}`;
}

/** In lists: the clock today, the date before. */
export function listTime(at: Date, now: Date, tz: string): string {
  const day = dayOf(at, tz);
  const today = dayOf(now, tz);
  return day === today ? clock(at, tz) : `${shortDay(day, today)}, ${clock(at, tz, false)}`;
}

/** Last seen: relative up to yesterday, then 9 Nov. */
export function lastSeen(at: Date, now: Date, tz: string): string {
  const seconds = (now.getTime() - at.getTime()) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  const day = dayOf(at, tz);
  const today = dayOf(now, tz);
  if (day === today) return `${Math.floor(seconds / 3600)} h ago`;
  if (day === addDays(today, -1)) return "yesterday";
  return shortDay(day, today);
}

/** How long ago, by the calendar of the zone: today, yesterday, 9 days ago; from two months on its date. */
export function daysAgo(at: Date, now: Date, tz: string): string {
  const [day, today] = [dayOf(at, tz), dayOf(now, tz)];
  const days = daysBetween(day, today);
  if (days <= 0) return "today";
  if (days === 1) return "yesterday";
  return days < 60 ? `${days} days ago` : `on ${shortDay(day, today)}`;
}

/** The whole of it, zone included, for hover: Monday 23 November 2026, 14:31:03 GMT+1. */
export function fullTime(at: Date, tz: string): string {
  const zone = formatter(tz, { timeZoneName: "short" }).formatToParts(at).find((p) => p.type === "timeZoneName")?.value ?? tz;
  const day = dayOf(at, tz);
  return `${dayInWords(day)} ${day.slice(0, 4)}, ${clock(at, tz)} ${zone}`;
}

/** With the day when it is not today, for a detail page: 23 Nov, 14:31:03. */
export function dayAndClock(at: Date, now: Date, tz: string): string {
  return `${shortDay(dayOf(at, tz), dayOf(now, tz))}, ${clock(at, tz)}`;
}

/** Milliseconds too, where events are compared: 14:31:14.308. */
export function clockMillis(at: Date, tz: string): string {
  return `${clock(at, tz)}.${String(at.getUTCMilliseconds()).padStart(3, "0")}`;
}

/** Europe/Berlin is Berlin. */
export function city(tz: string): string {
  return tz.slice(tz.lastIndexOf("/") + 1).replaceAll("_", " ");
}

/** UTC+1, UTC-3:30. */
export function offset(tz: string, at: Date): string {
  const name = formatter(tz, { timeZoneName: "longOffset" }).formatToParts(at).find((p) => p.type === "timeZoneName")?.value ?? "GMT";
  const match = /^GMT([+-])(\d\d):(\d\d)$/.exec(name);
  if (!match || (match[2] === "00" && match[3] === "00")) return "UTC";
  return `UTC${match[1]!}${Number(match[2])}${match[3] === "00" ? "" : `:${match[3]!}`}`;
}

export function isZone(tz: string): boolean {
  try {
    formatter(tz, {});
    return true;
  } catch {
    return false;
  }
}
