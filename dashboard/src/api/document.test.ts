import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type OpenApi, fields, found, operations, typeWords } from "./document";

const document = JSON.parse(readFileSync(new URL("../../openapi.json", import.meta.url), "utf8")) as OpenApi;
const all = operations(document);

describe("the document", () => {
  it("has every operation once, by its id", () => {
    expect(all.length).toBe(Object.values(document.paths).flatMap((methods) => Object.keys(methods)).length);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(all.find(({ id }) => id === "users")).toMatchObject({ method: "GET", path: "/v1/me/ai-apps/users" });
  });
  it("tells what a good answer is, and what it is called otherwise", () => {
    const overview = all.find(({ id }) => id === "overview")!;
    expect(overview.shapes).toHaveLength(2);
    expect(overview.exports).toContain("text/csv");
    expect(overview.answers.map(({ status }) => status)).toEqual(expect.arrayContaining(["200", "304", "400", "401", "503"]));
    for (const { shapes, body } of all) for (const shape of [...shapes, ...(body ? [body] : [])]) expect(fields(document, shape).length).toBeGreaterThan(0);
  });
  it("is searched by path, words and parameters", () => {
    expect(found(all, "  ")).toBe(all);
    expect(found(all, "GET traces/").map(({ id }) => id)).toEqual(["trace"]);
    expect(found(all, "above").map(({ id }) => id)).toContain("users");
    expect(found(all, "users zebra")).toEqual([]);
  });
});

describe("types", () => {
  const words = (schema: object): string => typeWords(document, schema);
  it("read as words", () => {
    expect(words({ type: "integer", minimum: 1, maximum: 1000 })).toBe("integer, 1 to 1000");
    expect(words({ type: "string", enum: ["1d", "7d"] })).toBe("one of 1d, 7d");
    expect(words({ anyOf: [{ type: "string", format: "date-time" }, { type: "null" }] })).toBe("date-time or null");
    expect(words({ type: "array", items: { $ref: "#/components/schemas/Event" } })).toBe("list of Event");
    expect(words({ type: "string", anyOf: [{ format: "date-time" }, { format: "date" }] })).toBe("string");
    expect(words({})).toBe("anything");
  });
  it("lead inside", () => {
    const shape = all.find(({ id }) => id === "users")!.shapes[0]!;
    const data = fields(document, shape).find(({ name }) => name === "data")!;
    expect(data.type).toBe("list of UserRow");
    expect(fields(document, data.inside!).map(({ name }) => name)).toContain("user_id");
  });
});
