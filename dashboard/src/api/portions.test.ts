import { describe, expect, it } from "vitest";
import { portions } from "./portions";

describe("values of a question", () => {
  it("are divided by what fits a line, each in one portion and in their order", () => {
    expect(portions([])).toEqual([]);
    expect(portions(["a", "b"])).toEqual([["a", "b"]]);
    const long = Array.from({ length: 30 }, (_, index) => `${index}${"ü".repeat(100)}`);
    const found = portions(long);
    expect(found.flat()).toEqual(long);
    expect(found.length).toBeGreaterThan(1);
    expect(Math.max(...found.map((values) => new URLSearchParams(values.map((value) => ["tag.plan", value])).toString().length))).toBeLessThan(4_000);
  });
});
