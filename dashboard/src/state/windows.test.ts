import { describe, expect, it } from "vitest";
import { type Window, previousName, step, windowAround, windowName, windowWords } from "./windows";

const TZ = "Europe/Berlin";
const now = new Date("2026-11-23T13:32:07Z");
const name = (window: Window): string => {
  const { name: first, dates } = windowName(window, now, TZ);
  return `${first}: ${dates}`;
};

describe("windows", () => {
  it("have a name that leads and dates that follow", () => {
    expect(name({ preset: "1d" })).toBe("Last 24 hours: 22 – 23 Nov");
    expect(name({ preset: "7d" })).toBe("Last 7 days: 16 – 23 Nov");
    expect(name({ preset: "28d" })).toBe("Last 28 days: 26 Oct – 23 Nov");
    expect(name({ preset: "90d" })).toBe("Last 90 days: 25 Aug – 23 Nov");
    expect(name({ preset: "mtd" })).toBe("Month to date: 1 – 23 Nov");
    expect(name({ preset: "last-month" })).toBe("Last month: 1 – 31 Oct");
    expect(name({ from: "2026-09-01", to: "2026-10-01" })).toBe("September 2026: 1 – 30 Sep");
    expect(name({ from: "2026-11-12", to: "2026-11-13" })).toBe("Thursday 12 November: 2026");
    expect(name({ from: "2026-11-02", to: "2026-11-12" })).toBe("10 days: 2 – 11 Nov");
    expect(name({ from: "2026-11-02T08:00:00Z", to: "2026-11-02T10:30:00Z" })).toBe("Custom: 2 Nov, 09:00 – 11:30");
  });
  it("begin in the named zone, not in UTC", () => {
    const midnight = new Date("2026-10-31T23:30:00Z");
    expect(windowName({ preset: "mtd" }, midnight, TZ).dates).toBe("1 Nov");
    expect(windowName({ preset: "mtd" }, midnight, "UTC").dates).toBe("1 – 31 Oct");
  });
});

describe("what a window is compared with", () => {
  const before = (window: Window, at = now): string => previousName(window, at, TZ);
  it("is the same length before, the same days of last month, the month before", () => {
    expect(before({ preset: "28d" })).toBe("28 Sep – 26 Oct");
    expect(before({ preset: "mtd" })).toBe("1 – 23 Oct, same hour");
    expect(before({ preset: "last-month" })).toBe("1 – 30 Sep");
    expect(before({ from: "2026-11-02", to: "2026-11-12" })).toBe("23 Oct – 1 Nov");
  });
  it("is all of February on 31 March", () => {
    expect(before({ preset: "mtd" }, new Date("2026-03-31T10:00:00Z"))).toBe("1 – 28 Feb");
    expect(before({ preset: "mtd" }, new Date("2026-03-28T10:00:00Z"))).toBe("1 – 28 Feb, same hour");
  });
});

describe("steps", () => {
  const back = (window: Window) => step(window, -1, now, TZ);
  const on = (window: Window) => step(window, 1, now, TZ);
  it("lead from a rolling window to the whole days before it, and back", () => {
    expect(back({ preset: "7d" })).toEqual({ from: "2026-11-10", to: "2026-11-17" });
    expect(on({ from: "2026-11-10", to: "2026-11-17" })).toEqual({ preset: "7d" });
    expect(back({ from: "2026-11-10", to: "2026-11-17" })).toEqual({ from: "2026-11-03", to: "2026-11-10" });
    expect(back({ preset: "1d" })).toEqual({ from: "2026-11-22", to: "2026-11-23" });
  });
  it("go month by month, by their names", () => {
    expect(back({ preset: "mtd" })).toEqual({ preset: "last-month" });
    expect(back({ preset: "last-month" })).toEqual({ from: "2026-09-01", to: "2026-10-01" });
    expect(back({ from: "2026-09-01", to: "2026-10-01" })).toEqual({ from: "2026-08-01", to: "2026-09-01" });
    expect(on({ from: "2026-08-01", to: "2026-09-01" })).toEqual({ from: "2026-09-01", to: "2026-10-01" });
    expect(on({ from: "2026-09-01", to: "2026-10-01" })).toEqual({ preset: "last-month" });
    expect(on({ preset: "last-month" })).toEqual({ preset: "mtd" });
  });
  it("never lead beyond now", () => {
    expect(on({ preset: "28d" })).toBeNull();
    expect(on({ preset: "mtd" })).toBeNull();
    expect(on({ from: "2026-11-20", to: "2026-11-24" })).toBeNull();
  });
  it("keep the length of a window of hours", () => {
    expect(back({ from: "2026-11-02T08:00:00Z", to: "2026-11-02T10:00:00Z" })).toEqual({ from: "2026-11-02T06:00:00.000Z", to: "2026-11-02T08:00:00.000Z" });
  });
});

describe("the window that holds a moment", () => {
  const around = (at: string): Window => windowAround(new Date(at), now, TZ);
  it("is 28 days, then 90, then the month in which it lies, in the named zone", () => {
    expect(around("2026-11-14T10:00:00Z")).toEqual({ preset: "28d" });
    expect(around("2026-10-26T14:00:00Z")).toEqual({ preset: "90d" });
    expect(around("2026-09-20T10:00:00Z")).toEqual({ preset: "90d" });
    expect(around("2026-05-31T22:30:00Z")).toEqual({ from: "2026-06-01", to: "2026-07-01" });
    expect(around("2025-12-31T12:00:00Z")).toEqual({ from: "2025-12-01", to: "2026-01-01" });
  });
});

describe("a window in a sentence", () => {
  it("reads like one", () => {
    const words = (window: Window): string => windowWords(window, now, TZ);
    expect(words({ preset: "7d" })).toBe("in these 7 days");
    expect(words({ preset: "1d" })).toBe("in these 24 hours");
    expect(words({ preset: "mtd" })).toBe("this month");
    expect(words({ from: "2026-09-01", to: "2026-10-01" })).toBe("in September 2026");
    expect(words({ from: "2026-11-12", to: "2026-11-13" })).toBe("on Thursday 12 November");
    expect(words({ from: "2026-11-02", to: "2026-11-12" })).toBe("in these 10 days");
    expect(words({ from: "2026-11-02T08:00:00Z", to: "2026-11-02T10:30:00Z" })).toBe("in this window");
  });
});
