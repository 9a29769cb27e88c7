import { describe, expect, it } from "vitest";
import { readMessage } from "./client";

describe("the stream", () => {
  it("tells of a watermark, and of nothing else", () => {
    const mark = { complete_through: "2026-11-23T13:32:05Z", as_of: "2026-11-23T13:32:07Z", events: 12 };
    expect(readMessage(`event: watermark\ndata: ${JSON.stringify(mark)}`)).toEqual(mark);
    expect(readMessage(": ping")).toBeNull();
    expect(readMessage("event: other\ndata: {}")).toBeNull();
  });
});
