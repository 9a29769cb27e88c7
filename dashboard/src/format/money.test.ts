import { describe, expect, it } from "vitest";
import { nanos } from "./decimal";
import { amountText, axisText, dollarText, exactText, mean, money, perMillion, priceText, roundText } from "./money";

describe("money in tables", () => {
  it("has two decimals and thousands", () => {
    expect(amountText("4812.367104218")).toBe("4,812.37");
    expect(amountText("1234567.891")).toBe("1,234,567.89");
    expect(amountText("12.4")).toBe("12.40");
  });
  it("below a cent has two significant digits, never 0.00, nine decimals at most", () => {
    expect(amountText("0.0042118")).toBe("0.0042");
    expect(amountText("0.00031")).toBe("0.00031");
    expect(amountText("0.000000001")).toBe("0.000000001");
    expect(amountText("0.000000012")).toBe("0.000000012");
  });
  it("that rounds up to a cent is a cent", () => {
    expect(amountText("0.00996")).toBe("0.01");
    expect(amountText("0.009949")).toBe("0.0099");
    expect(amountText("0.0000999")).toBe("0.00010");
  });
  it("measured and nothing is 0.00", () => {
    expect(amountText("0")).toBe("0.00");
    expect(money("0", "trace")).toEqual({ head: "0.00", tail: "" });
  });
  it("splits at the cents, so that they align", () => {
    expect(money("0.0042118")).toEqual({ head: "0.00", tail: "42" });
    expect(money("418.27")).toEqual({ head: "418.27", tail: "" });
  });
});

describe("money of traces and events", () => {
  it("has four decimals up to 100, two above", () => {
    expect(amountText("0.08734326", "trace")).toBe("0.0873");
    expect(amountText("1.9427", "trace")).toBe("1.9427");
    expect(amountText("99.99994", "trace")).toBe("99.9999");
    expect(amountText("415.6", "trace")).toBe("415.60");
  });
  it("below 0.0001 has two significant digits", () => {
    expect(amountText("0.00002756", "trace")).toBe("0.000028");
    expect(amountText("0.0001374", "trace")).toBe("0.0001");
  });
  it("of an event's parts has six decimals, all of them", () => {
    expect(amountText("0.004128", "part")).toBe("0.004128");
    expect(amountText("0.0015204", "part")).toBe("0.001520");
    expect(amountText("0", "part")).toBe("0.000000");
    expect(amountText("0.000000041", "part")).toBe("0.000000041");
  });
});

describe("money elsewhere", () => {
  it("has its sign on totals and in prose", () => {
    expect(dollarText("4812.367")).toBe("$4,812.37");
    expect(dollarText("-3.1")).toBe("-$3.10");
  });
  it("is whole dollars on an axis, k from 1,000", () => {
    expect([0, 2000, 4000, 6000].map((value) => axisText(value, 2000))).toEqual(["0", "2k", "4k", "6k"]);
    expect(axisText(1500, 500)).toBe("1.5k");
    expect(axisText(300, 100)).toBe("300");
    expect([400_000, 800_000, 1_200_000].map((value) => axisText(value, 400_000))).toEqual(["400k", "800k", "1.2M"]);
    expect(axisText(7_500_000, 2_500_000)).toBe("7.5M");
  });
  it("keeps the decimals that a small scale needs", () => {
    expect(axisText(0.8, 0.4)).toBe("0.80");
    expect([0.05, 0.1, 0.15].map((value) => axisText(value, 0.05))).toEqual(["0.05", "0.10", "0.15"]);
    expect(axisText(0.004, 0.002)).toBe("0.004");
    expect(axisText(0.0045, 0.0015)).toBe("0.0045");
    expect(axisText(2.5, 2.5)).toBe("2.5");
  });
  it("is round in a forecast", () => {
    expect(roundText(nanos("6431.7"))).toBe("$6,432");
    expect(roundText(nanos("0.9312"))).toBe("$0.93");
  });
  it("has every stored digit in the tooltip", () => {
    expect(exactText("418.266565604")).toBe("418.266565604");
    expect(exactText("4812.30")).toBe("4,812.3");
  });
  it("is a price with every digit of it, two decimals at least", () => {
    expect(priceText("0.125")).toBe("0.125");
    expect(priceText("4")).toBe("4.00");
    expect(priceText("0.0375")).toBe("0.0375");
  });
  it("divides by people, and by nobody not at all", () => {
    expect(mean(nanos("10"), 4)).toBe("2.5");
    expect(mean(nanos("1"), 3)).toBe("0.333333333");
    expect(mean(nanos("10"), 0)).toBeNull();
  });
  it("per million tokens", () => {
    expect(perMillion("4812.37", 3_410_000_000)).toBe("1.411252199");
    expect(perMillion("1", 0)).toBeNull();
  });
});
