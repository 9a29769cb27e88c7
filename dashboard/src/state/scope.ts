import { isZone } from "../format/time";
import { type Window, isPreset } from "./windows";

/**
 * What every section is narrowed to. It stands in the address, in the API's own words (`window`, `from`, `to`, `tz`,
 * `tag.plan=pro`, `userId!=…`), so that a link opens the same view and "copy as curl" is the address's query.
 */
export interface Scope {
  readonly window: Window;
  readonly compare: boolean;
  readonly tz: string;
  readonly filters: readonly Filter[];
}

/** Events whose field is one of the values, or none of them. An empty value: "has no such tag". */
export interface Filter {
  readonly field: string;
  readonly exclude: boolean;
  readonly values: readonly string[];
}

export type Pairs = [string, string][];

/** Fields that filter beside `tag.KEY`, and how they are called on screen. */
export const FIELDS: Record<string, string> = {
  userId: "user",
  provider: "provider",
  model: "model",
  agent: "agent",
  status: "status",
};

const TAG = /^tag\.[A-Za-z0-9_.-]{1,64}$/;

export function isFilterField(field: string): boolean {
  return field in FIELDS || TAG.test(field);
}

export function fieldName(field: string): string {
  return FIELDS[field] ?? field.replace(/^tag\./, "");
}

export interface Remembered {
  readonly window: Window;
  readonly tz: string;
}

export function parseScope(params: URLSearchParams, remembered: Remembered): Scope {
  const tz = params.get("tz");
  return {
    window: parseWindow(params) ?? remembered.window,
    compare: params.get("compare") !== "off",
    tz: tz !== null && isZone(tz) ? tz : remembered.tz,
    filters: parseFilters(params),
  };
}

function parseWindow(params: URLSearchParams): Window | null {
  const preset = params.get("window");
  if (isPreset(preset)) return { preset };
  const [from, to] = [params.get("from"), params.get("to")];
  if (from === null || to === null) return null;
  const [start, end] = [Date.parse(from), Date.parse(to)];
  return start < end ? { from, to } : null;
}

function parseFilters(params: URLSearchParams): Filter[] {
  const found = new Map<string, { field: string; exclude: boolean; values: string[] }>();
  for (const [name, value] of params) {
    const exclude = name.endsWith("!");
    const field = exclude ? name.slice(0, -1) : name;
    if (!isFilterField(field)) continue;
    const held = found.get(name);
    if (!held) found.set(name, { field, exclude, values: [value] });
    else if (!held.values.includes(value)) held.values.push(value);
  }
  return [...found.values()];
}

/** The scope as the address has it. Zone and window always stand in it once chosen, so that a link means the same to all. */
export function scopePairs(scope: Scope): Pairs {
  return [
    ...windowPairs(scope.window),
    ["tz", scope.tz],
    ...(scope.compare ? [] : ([["compare", "off"]] satisfies Pairs)),
    ...filterPairs(scope.filters),
  ];
}

/** The scope as the API's parameters. */
export function questionPairs(scope: Scope): Pairs {
  return [...windowPairs(scope.window), ["tz", scope.tz], ...filterPairs(scope.filters)];
}

function windowPairs(window: Window): Pairs {
  if ("preset" in window) return [["window", window.preset]];
  return [
    ["from", window.from],
    ["to", window.to],
  ];
}

function filterPairs(filters: readonly Filter[]): Pairs {
  return filters.flatMap((filter) => filter.values.map((value): [string, string] => [filter.field + (filter.exclude ? "!" : ""), value]));
}

/** A parameter that is only sent when there is something to say. */
export function optional(name: string, value: string | null): Pairs {
  return value === null ? [] : [[name, value]];
}

export function isScopeParameter(name: string): boolean {
  return ["window", "from", "to", "tz", "compare"].includes(name) || isFilterField(name.replace(/!$/, ""));
}

/** The filter set in place of one of the same field and sense; without values it is taken away. */
export function withFilter(filters: readonly Filter[], next: Filter, replaced?: Filter): Filter[] {
  const alike = (f: Filter, g: Filter | undefined): boolean => f.field === g?.field && f.exclude === g.exclude;
  const goes = (f: Filter): boolean => alike(f, next) || alike(f, replaced);
  const at = filters.findIndex(goes);
  const others = filters.filter((f) => !goes(f));
  if (next.values.length === 0) return others;
  if (at < 0) return [...others, next];
  return [...others.slice(0, at), next, ...others.slice(at)];
}

/** "env is production", "plan is any of pro, team", "model is not gpt-6-luna". */
export function filterWords(filter: Filter): { field: string; verb: string; values: string } {
  const verb = filter.exclude
    ? filter.values.length > 1 ? "is none of" : "is not"
    : filter.values.length > 1 ? "is any of" : "is"; // prettier-ignore
  return { field: fieldName(filter.field), verb, values: filter.values.map(valueName).join(", ") };
}

export function valueName(value: string): string {
  return value === "" ? "(none)" : value;
}
