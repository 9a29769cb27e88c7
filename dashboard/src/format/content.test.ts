import { describe, expect, it } from "vitest";
import { absentReason, messagesOf, pieces } from "./content";
import { contrast, isHex } from "./contrast";
import { curl } from "./curl";

describe("content", () => {
  it("is read from the shapes that providers have", () => {
    expect(messagesOf("hello")).toEqual([{ role: null, text: "hello", isJson: false }]);
    expect(messagesOf([{ role: "user", content: "hi" }])).toEqual([{ role: "user", text: "hi", isJson: false }]);
    expect(messagesOf({ role: "assistant", content: [{ type: "text", text: "one" }, { type: "text", text: "two" }] })).toEqual([{ role: "assistant", text: "one\ntwo", isJson: false }]);
    expect(messagesOf({ choices: [{ message: { role: "assistant", content: "yes" } }] })).toEqual([{ role: "assistant", text: "yes", isJson: false }]);
    expect(messagesOf({ system: "be brief", messages: [{ role: "user", content: "hi" }] }).map((m) => m.role)).toEqual(["system", "user"]);
  });
  it("that has no text is shown as it is", () => {
    expect(messagesOf({ a: 1 })[0]).toMatchObject({ isJson: true });
    expect(messagesOf(7)[0]).toMatchObject({ text: "7", isJson: true });
  });
  it("that is absent says why; that which was never sent says nothing", () => {
    expect(absentReason({ absent: "privacy: minimal" })).toBe("privacy: minimal");
    expect(absentReason(null)).toBeNull();
    expect(absentReason("text")).toBeNull();
    expect(messagesOf(null)).toEqual([]);
  });
  it("shows redactions as marks of their own, and nothing else", () => {
    expect(pieces("write to [EMAIL] now")).toEqual([
      { text: "write to ", isRedaction: false },
      { text: "[EMAIL]", isRedaction: true },
      { text: " now", isRedaction: false },
    ]);
    expect(pieces("a[0] and [x]")).toEqual([{ text: "a[0] and [x]", isRedaction: false }]);
  });
});

describe("curl", () => {
  it("survives a shell, whatever the address holds", () => {
    expect(curl("https://host/v1?q=it's")).toBe(`curl -H "Authorization: Bearer $PERCAPITA_KEY" 'https://host/v1?q=it'\\''s'`);
  });
});

describe("a host's accent", () => {
  it("is measured as WCAG does", () => {
    expect(contrast("#000000", "rgb(255, 255, 255)")).toBeCloseTo(21);
    expect(contrast("#0a6b4e", "#ffffff")).toBeGreaterThan(6.4);
    expect(isHex("#0a6b4e")).toBe(true);
    expect(isHex("red;}")).toBe(false);
  });
});
