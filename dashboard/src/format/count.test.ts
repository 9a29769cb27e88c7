import { describe, expect, it } from "vitest";
import { count, duration, plural, share, tokens } from "./count";

describe("counts", () => {
  it("are exact, always", () => {
    expect(count(61482)).toBe("61,482");
    expect(count(999)).toBe("999");
    expect(count(1_157_614)).toBe("1,157,614");
  });
  it("agree with their noun", () => {
    expect(plural(1, "call")).toBe("1 call");
    expect(plural(1204, "call")).toBe("1,204 calls");
    expect(plural(2, "person", "people")).toBe("2 people");
  });
});

describe("tokens", () => {
  it("are exact below 10,000, then three figures", () => {
    expect(tokens(9480)).toBe("9,480");
    expect(tokens(56_200)).toBe("56.2K");
    expect(tokens(402_000)).toBe("402K");
    expect(tokens(3_410_000_000)).toBe("3.41B");
    expect(tokens(196_000_000)).toBe("196M");
    expect(tokens(8_370_000)).toBe("8.37M");
  });
  it("change their unit where they round up to it", () => {
    expect(tokens(999_600)).toBe("1.00M");
    expect(tokens(10_000)).toBe("10.0K");
  });
});

describe("shares", () => {
  it("have one decimal, and what is there is never nothing", () => {
    expect(share(0.0869)).toBe("8.7%");
    expect(share(0.0008)).toBe("<0.1%");
    expect(share(0)).toBe("0%");
    expect(share(1)).toBe("100%");
  });
});

describe("durations", () => {
  it("take the unit that reads", () => {
    expect(duration(620)).toBe("620 ms");
    expect(duration(5200)).toBe("5.2 s");
    expect(duration(94_000)).toBe("1 m 34 s");
    expect(duration(59_970)).toBe("1 m 0 s");
    expect(duration(999.7)).toBe("1.0 s");
    expect(duration(7_500_000)).toBe("2 h 5 m");
  });
});
