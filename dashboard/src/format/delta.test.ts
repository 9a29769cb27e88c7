import { describe, expect, it } from "vitest";
import { delta, isBigMover } from "./delta";

describe("changes", () => {
  it("have one decimal below ten per cent, none above", () => {
    expect(delta("3.70", "3.7261")).toEqual({ kind: "down", text: "0.7%" });
    expect(delta("4812.37", "4281.90")).toEqual({ kind: "up", text: "12%" });
    expect(delta("152.77", "96.08")).toEqual({ kind: "up", text: "59%" });
    expect(delta(1284, 1131)).toEqual({ kind: "up", text: "14%" });
  });
  it("are new where nothing was before, and do not apply where nothing is on both sides", () => {
    expect(delta("1.2", null)).toEqual({ kind: "new" });
    expect(delta("1.2", "0")).toEqual({ kind: "new" });
    expect(delta("0", "0")).toEqual({ kind: "none" });
    expect(delta(null, "3")).toEqual({ kind: "none" });
  });
  it("are a factor from ten times on", () => {
    expect(delta("140", "10")).toEqual({ kind: "up", text: "× 14" });
    expect(delta("128805", "1")).toEqual({ kind: "up", text: "× 128,805" });
    expect(delta("99", "10")).toEqual({ kind: "up", text: "890%" });
  });
  it("can be none at all, or all of it", () => {
    expect(delta("5", "5")).toEqual({ kind: "flat", text: "0%" });
    expect(delta("0", "5")).toEqual({ kind: "down", text: "100%" });
  });
});

describe("big movers", () => {
  it("rise by half and by twenty dollars at least", () => {
    expect(isBigMover("118.93", "40.87")).toBe(true);
    expect(isBigMover("152.77", "96.08")).toBe(true);
    expect(isBigMover("96.38", "71.40")).toBe(false);
    expect(isBigMover("25", "10")).toBe(false);
    expect(isBigMover("60", "40")).toBe(true);
    expect(isBigMover("59.99", "40")).toBe(false);
  });
  it("are not those that are new, or not priced", () => {
    expect(isBigMover("187.35", null)).toBe(false);
    expect(isBigMover(null, "40")).toBe(false);
  });
  it("may have a threshold of their own", () => {
    expect(isBigMover("118.93", "40.87", 100)).toBe(false);
  });
});
