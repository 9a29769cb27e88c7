import { describe, expect, it } from "vitest";
import { divide, exact, fixed, knownSum, nanos, perUnit, sum } from "./decimal";

describe("amounts", () => {
  it("are whole nano-dollars, and come back digit for digit", () => {
    for (const text of ["0", "418.266565604", "0.000000001", "12.4", "4812367104.218", "-3.05"]) expect(exact(nanos(text))).toBe(text);
  });
  it("that are no decimals are refused, not zero", () => {
    for (const text of ["", "1e3", "1.0000000001", "NaN", "1,000", " 1", "."]) expect(() => nanos(text)).toThrow(RangeError);
  });
  it("sum exactly where floats do not", () => {
    expect(exact(sum(["0.1", "0.2"]))).toBe("0.3");
    expect(exact(sum(Array.from({ length: 10_000 }, () => "0.000000001")))).toBe("0.00001");
  });
  it("that are unknown add nothing", () => {
    expect(sum([null, "1.5", undefined])).toBe(nanos("1.5"));
  });
  it("that are all unknown have no sum; beside one that is known they add nothing", () => {
    expect(knownSum([null, null])).toBeNull();
    expect(knownSum([null, 0n])).toBeNull();
    expect(knownSum([null, 5n])).toBe(5n);
    expect(knownSum([0n])).toBe(0n);
    expect(knownSum([])).toBe(0n);
  });
  it("are averaged over the exact time", () => {
    const hour = 3_600_000;
    expect(perUnit(nanos("34"), 34 * hour, 24 * hour)).toBe(nanos("24"));
    expect(perUnit(nanos("23"), 23 * hour, 24 * hour)).toBe(nanos("24"));
    expect(perUnit(nanos("3"), 10 * hour, 24 * hour)).toBeNull();
  });
  it("round half to even", () => {
    expect(fixed(nanos("0.125"), 2)).toBe("0.12");
    expect(fixed(nanos("0.135"), 2)).toBe("0.14");
    expect(fixed(nanos("0.125000001"), 2)).toBe("0.13");
    expect(fixed(nanos("-0.135"), 2)).toBe("-0.14");
    expect(divide(5n, 2n)).toBe(2n);
    expect(divide(7n, 2n)).toBe(4n);
    expect(divide(-7n, 2n)).toBe(-4n);
    expect(fixed(nanos("2.5"), 0)).toBe("2");
  });
});
