import { describe, expect, it } from "vitest";
import { filterWords, isScopeParameter, parseScope, questionPairs, scopePairs, withFilter } from "./scope";

const remembered = { window: { preset: "28d" }, tz: "UTC" } as const;
const parse = (search: string) => parseScope(new URLSearchParams(search), remembered);
const written = (search: string): string => new URLSearchParams(scopePairs(parse(search))).toString();

describe("the address", () => {
  it("holds the scope, and gives it back", () => {
    for (const search of [
      "window=mtd&tz=Europe%2FBerlin&tag.env=production",
      "from=2026-09-01&to=2026-10-01&tz=UTC&compare=off",
      "window=7d&tz=UTC&tag.plan=pro&tag.plan=team&model%21=gpt-6-luna&tag.feature=",
    ]) {
      expect(written(search)).toBe(search);
    }
  });
  it("without a window means the remembered one", () => {
    expect(parse("")).toEqual({ window: { preset: "28d" }, compare: true, tz: "UTC", filters: [] });
  });
  it("that makes no sense is not believed", () => {
    expect(parse("window=3d").window).toEqual({ preset: "28d" });
    expect(parse("from=2026-10-02&to=2026-10-01").window).toEqual({ preset: "28d" });
    expect(parse("tz=Mars%2FOlympus").tz).toBe("UTC");
    expect(parse("tag.bad key=1&sort=-spend").filters).toEqual([]);
  });
  it("asks the API in the same words, but for what is the page's", () => {
    expect(questionPairs(parse("window=7d&tz=UTC&compare=off&userId!=&q=ada"))).toEqual([
      ["window", "7d"],
      ["tz", "UTC"],
      ["userId!", ""],
    ]);
  });
  it("keeps page and scope apart", () => {
    for (const name of ["window", "tz", "compare", "tag.plan", "tag.plan!", "userId", "status!"]) expect(isScopeParameter(name)).toBe(true);
    for (const name of ["sort", "q", "group", "event", "cursor"]) expect(isScopeParameter(name)).toBe(false);
  });
});

describe("filters", () => {
  const plan = { field: "tag.plan", exclude: false, values: ["pro"] };
  const env = { field: "tag.env", exclude: false, values: ["production"] };
  it("read as a sentence", () => {
    expect(filterWords(plan)).toEqual({ field: "plan", verb: "is", values: "pro" });
    expect(filterWords({ ...plan, values: ["pro", "team"] }).verb).toBe("is any of");
    expect(filterWords({ ...plan, exclude: true }).verb).toBe("is not");
    expect(filterWords({ ...plan, exclude: true, values: ["pro", ""] })).toEqual({ field: "plan", verb: "is none of", values: "pro, (none)" });
  });
  it("are replaced in their place, and removed when they have no value", () => {
    expect(withFilter([plan, env], { ...plan, values: ["team"] })).toEqual([{ ...plan, values: ["team"] }, env]);
    expect(withFilter([plan, env], { ...plan, exclude: true }, { ...plan })).toEqual([{ ...plan, exclude: true }, env]);
    expect(withFilter([plan, env], { ...plan, values: [] })).toEqual([env]);
    expect(withFilter([], env)).toEqual([env]);
  });
});
