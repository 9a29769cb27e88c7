import { describe, expect, it } from "vitest";
import type { Event, Group } from "../api/types";
import { nanos } from "../format/decimal";
import { assign } from "./colors";
import { stack } from "./day-bars";
import { barsOf } from "./day-data";
import { heads } from "./heads";
import { labelled, scale } from "./scale";
import { sparkPoints } from "./spark";
import { folded, isFold, lanes, span, timeTicks } from "./waterfall";

describe("the per-head bar", () => {
  const bar = heads([0.5, 0.3, 0.1], 0.08, 0.02, 1000);
  it("is as wide as all spend, gaps between", () => {
    expect(bar.segments.map((one) => Math.round(one.x))).toEqual([0, 500, 800]);
    expect(bar.segments[0]!.width).toBe(499);
    expect(bar.unattributed!.x + bar.unattributed!.width).toBeCloseTo(1000);
  });
  it("fades with rank", () => {
    expect(bar.segments[0]!.opacity).toBe(1);
    expect(bar.segments[2]!.opacity).toBeLessThan(bar.segments[1]!.opacity);
  });
  it("loses nobody to a gap", () => {
    const many = heads(Array.from({ length: 5000 }, () => 0.0002), 0, 0, 1000);
    expect(Math.min(...many.segments.map((one) => one.width))).toBeGreaterThan(0);
  });
  it("is empty where nothing was spent", () => {
    expect(heads([], 0, 0, 1000)).toEqual({ segments: [], rest: null, unattributed: null });
  });
});

describe("scales", () => {
  it("have three lines at round amounts", () => {
    expect(scale(325).ticks).toEqual([100, 200, 300]);
    expect(scale(6432).ticks).toEqual([2000, 4000, 6000]);
    expect(scale(31.17).ticks).toEqual([10, 20, 30]);
    expect(scale(1.26).ticks).toEqual([0.4, 0.8, 1.2]);
  });
  it("hold the largest value", () => {
    for (const largest of [0.0031, 0.9, 3, 14.2, 99, 1000, 123456]) {
      const { ticks, top } = scale(largest);
      expect(top).toBeGreaterThanOrEqual(largest);
      expect(ticks[2]).toBeLessThanOrEqual(largest * 1.0001);
    }
  });
  it("of nothing have no lines", () => {
    expect(scale(0)).toEqual({ ticks: [], step: 1, top: 1 });
  });
  it("label no more than fits", () => {
    expect(labelled(28, 8)).toEqual([0, 4, 8, 12, 16, 20, 24]);
    expect(labelled(3, 8)).toEqual([0, 1, 2]);
  });
});

describe("stacked bars", () => {
  const series = [{ name: "pro", color: 1 }, { name: "team", color: 2 }, { name: "other", color: 0 }];
  const bar = { label: "", words: "", isToday: false, parts: [nanos("10"), nanos("5"), 0n] };
  it("stand on each other, a pixel apart, without what is not there", () => {
    expect(stack(bar, series, (value) => value * 2)).toEqual([
      { name: "pro", color: 1, from: 0, size: 20 },
      { name: "team", color: 2, from: 21, size: 9 },
    ]);
  });
  it("leave in grey what no series has, exactly", () => {
    const bucket = { key: "2026-11-22T23:00:00Z", spend: "12.5" } as Group;
    const row = { bucket: "2026-11-22T23:00:00Z", key: "pro", spend: "10.000000001" } as Group;
    const [drawn] = barsOf([bucket], [row], ["pro"], true, "Europe/Berlin", new Date("2026-11-23T13:00:00Z"), false);
    expect(drawn).toEqual({ label: "23 Nov", words: "Monday 23 November", parts: [nanos("10.000000001"), nanos("2.499999999")], isToday: true });
  });
  it("do not know what has no price: neither a day, nor a part, nor what is left", () => {
    const now = new Date("2026-11-23T13:00:00Z");
    const at = "2026-11-22T23:00:00Z";
    const partsOf = (bucket: Partial<Group>, row: Partial<Group>) =>
      barsOf([{ key: at, unpriced_events: 0, ...bucket } as Group], [{ bucket: at, key: "pro", unpriced_events: 0, ...row } as Group], ["pro", "team"], true, "Europe/Berlin", now, false)[0]!.parts;
    expect(partsOf({ spend: null, unpriced_events: 2 }, { spend: null, unpriced_events: 1 })).toEqual([null, 0n, null]);
    expect(partsOf({ spend: "1", unpriced_events: 2 }, { spend: "1" })).toEqual([nanos("1"), 0n, null]);
    expect(partsOf({ spend: "1", unpriced_events: 2 }, { spend: null, unpriced_events: 2 })).toEqual([null, 0n, nanos("1")]);
    expect(partsOf({ spend: "1" }, { spend: "1" })).toEqual([nanos("1"), 0n, 0n]);
  });
  it("keep the colour of a value when others are filtered away", () => {
    const known = new Map<string, number>();
    expect(assign(known, ["enterprise", "team", "pro"])).toEqual([1, 2, 3]);
    expect(assign(known, ["pro"])).toEqual([3]);
    expect(assign(known, ["free", "pro"])).toEqual([1, 3]);
    expect(assign(known, ["a", "b", "c", "d", "e", "f"]).at(-1)).toBe(0);
  });
  it("are spark lines on a scale of their own", () => {
    expect(sparkPoints([0, 4])).toEqual([[1, 18], [85, 2]]);
    expect(sparkPoints([0, 0])).toEqual([[1, 18], [85, 18]]);
  });
});

const event = (id: string, more: Partial<Event> = {}): Event =>
  ({ id, type: "llm", timestamp: "2026-11-23T13:31:03Z", span_id: id, parent_span_id: null, status: "ok", price_status: "priced", latency_ms: 1000, time_to_first_token_ms: 250, name: id, tool_name: null, operation: null, model: "m", ...more }) as Event;

describe("the waterfall", () => {
  it("puts children under their parent, in order of time", () => {
    const all = lanes([
      event("tool", { type: "tool", parent_span_id: "plan", timestamp: "2026-11-23T13:31:05Z" }),
      event("answer", { parent_span_id: "root", timestamp: "2026-11-23T13:31:06Z" }),
      event("plan", { parent_span_id: "root", timestamp: "2026-11-23T13:31:04Z" }),
      event("root", { type: "trace", latency_ms: 4000 }),
    ]);
    expect(all.map((lane) => [lane.event.id, lane.depth])).toEqual([["root", 0], ["plan", 1], ["tool", 2], ["answer", 1]]);
    expect(all[1]).toMatchObject({ start: 1000, length: 1000, waiting: 250, kind: "llm" });
    expect(span(all)).toBe(4000);
  });
  it("shows events whose parents are unknown, or each other", () => {
    expect(lanes([event("a", { parent_span_id: "gone" })]).map((lane) => lane.depth)).toEqual([0]);
    expect(lanes([event("a", { parent_span_id: "b" }), event("b", { parent_span_id: "a" })])).toHaveLength(2);
    expect(lanes([event("a", { parent_span_id: "a" })])).toHaveLength(1);
  });
  it("tells apart what failed, was interrupted, has no price", () => {
    const kind = (more: Partial<Event>): string => lanes([event("a", more)])[0]!.kind;
    expect(kind({ status: "error" })).toBe("failed");
    expect(kind({ status: "aborted", price_status: "estimated" })).toBe("interrupted");
    expect(kind({ price_status: "unpriced" })).toBe("unpriced");
    expect(kind({ type: "tool", price_status: "none" })).toBe("tool");
    expect(kind({ type: "log", latency_ms: null })).toBe("point");
  });
  it("folds more than eight like siblings, never what failed or is chosen", () => {
    const alike = Array.from({ length: 12 }, (_, index) => event(`e${index}`, { name: "embed", timestamp: new Date(1.8e12 + index).toISOString() }));
    expect(folded(lanes(alike), null)).toHaveLength(1);
    expect(folded(lanes(alike.slice(0, 8)), null)).toHaveLength(8);
    const one = folded(lanes(alike), "e11");
    expect(one.map(isFold)).toEqual([true, false]);
    expect(folded(lanes(alike.map((held, index) => (index === 10 ? { ...held, status: "error" as const } : held))), null).map(isFold)).toEqual([true, false, false]);
  });
  it("has five or six ticks at round times", () => {
    expect(timeTicks(21_400)).toEqual([0, 5000, 10000, 15000, 20000]);
    expect(timeTicks(620)).toEqual([0, 200, 400, 600]);
    expect(timeTicks(21_400, 800)).toEqual(timeTicks(21_400));
  });
  it("has fewer where the lane is narrow, so that they do not touch", () => {
    expect(timeTicks(21_400, 200)).toEqual([0, 10000, 20000]);
    expect(timeTicks(21_400, 0)).toEqual([0]);
  });
});
