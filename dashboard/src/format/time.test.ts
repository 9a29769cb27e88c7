import { describe, expect, it } from "vitest";
import { addDays, city, clock, dayAndClock, dayInWords, dayOf, dayRange, daysAgo, daysBetween, fullTime, isZone, lastSeen, listTime, offset, shortDay } from "./time";

const BERLIN = "Europe/Berlin";
const now = new Date("2026-11-23T13:32:07Z");
const before = (seconds: number): Date => new Date(now.getTime() - seconds * 1000);

describe("times", () => {
  it("are of the named zone, day boundaries included", () => {
    expect(dayOf(new Date("2026-11-22T23:30:00Z"), BERLIN)).toBe("2026-11-23");
    expect(dayOf(new Date("2026-11-22T23:30:00Z"), "UTC")).toBe("2026-11-22");
    expect(clock(now, BERLIN)).toBe("14:32:07");
    expect(clock(new Date("2026-11-22T23:00:00Z"), BERLIN)).toBe("00:00:00");
  });
  it("in lists are a clock today and a date before", () => {
    expect(listTime(before(60), now, BERLIN)).toBe("14:31:07");
    expect(listTime(before(86_400), now, BERLIN)).toBe("22 Nov, 14:32");
  });
  it("last seen are relative up to yesterday", () => {
    expect(lastSeen(before(20), now, BERLIN)).toBe("just now");
    expect(lastSeen(before(190), now, BERLIN)).toBe("3 min ago");
    expect(lastSeen(before(2 * 3600), now, BERLIN)).toBe("2 h ago");
    expect(lastSeen(before(24 * 3600), now, BERLIN)).toBe("yesterday");
    expect(lastSeen(new Date("2026-11-09T10:00:00Z"), now, BERLIN)).toBe("9 Nov");
    expect(lastSeen(new Date("2025-11-09T10:00:00Z"), now, BERLIN)).toBe("9 Nov 2025");
  });
  it("ago are days of the calendar, then a date", () => {
    const ago = (at: string): string => daysAgo(new Date(at), now, BERLIN);
    expect(ago("2026-11-22T23:30:00Z")).toBe("today");
    expect(ago("2026-11-22T22:30:00Z")).toBe("yesterday");
    expect(ago("2026-11-14T10:00:00Z")).toBe("9 days ago");
    expect(ago("2025-11-09T10:00:00Z")).toBe("on 9 Nov 2025");
  });
  it("in full name their zone", () => {
    expect(fullTime(now, BERLIN)).toMatch(/^Monday 23 November 2026, 14:32:07 (CET|GMT\+1)$/);
    expect(dayAndClock(now, now, BERLIN)).toBe("23 Nov, 14:32:07");
  });
});

describe("days", () => {
  it("count over months, years and clock changes", () => {
    expect(addDays("2026-10-24", 2)).toBe("2026-10-26");
    expect(addDays("2026-03-01", -1)).toBe("2026-02-28");
    expect(daysBetween("2025-12-31", "2026-01-01")).toBe(1);
  });
  it("read as people say them", () => {
    expect(dayRange("2026-11-01", "2026-11-23")).toBe("1 – 23 Nov");
    expect(dayRange("2026-10-26", "2026-11-23")).toBe("26 Oct – 23 Nov");
    expect(dayRange("2026-11-09", "2026-11-09")).toBe("9 Nov");
    expect(dayRange("2025-12-20", "2026-01-03", "2026-11-23")).toBe("20 Dec 2025 – 3 Jan");
    expect(dayInWords("2026-11-12")).toBe("Thursday 12 November");
    expect(shortDay("2025-11-09", "2026-11-23")).toBe("9 Nov 2025");
  });
});

describe("zones", () => {
  it("go by their city and their distance from UTC", () => {
    expect(city("Europe/Berlin")).toBe("Berlin");
    expect(city("America/Argentina/Buenos_Aires")).toBe("Buenos Aires");
    expect(offset(BERLIN, now)).toBe("UTC+1");
    expect(offset("Asia/Kolkata", now)).toBe("UTC+5:30");
    expect(offset("UTC", now)).toBe("UTC");
    expect(isZone("Europe/Berlin")).toBe(true);
    expect(isZone("Europe/Atlantis")).toBe(false);
  });
});
