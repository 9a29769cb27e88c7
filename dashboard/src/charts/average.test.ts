import { describe, expect, it } from "vitest";
import { averageBefore } from "./average";

describe("the average of the window before", () => {
  const span = { from: "2026-10-01T00:00:00Z", to: "2026-10-02T10:00:00Z" };
  it("divides by its exact length, also in the middle of a day", () => {
    expect(averageBefore({ spend: "34" }, span, false, "in October")).toEqual({ value: 24, text: "$24 a day", note: "in October" });
    expect(averageBefore({ spend: "34" }, span, true)).toEqual({ value: 1, text: "$1.00 an hour", note: "before" });
  });
  it("is none where nothing is known, nothing was spent, or the day is not over", () => {
    expect(averageBefore({ spend: null }, span, false)).toBeUndefined();
    expect(averageBefore({ spend: "0" }, span, false)).toBeUndefined();
    expect(averageBefore({ spend: "1" }, { from: span.from, to: "2026-10-01T10:00:00Z" }, false)).toBeUndefined();
    expect(averageBefore(undefined, span, false)).toBeUndefined();
  });
});
