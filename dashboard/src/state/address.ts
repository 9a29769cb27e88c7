import { createContext, useCallback, useContext, useMemo } from "react";
import { navigate, usePathname } from "wouter/use-browser-location";
import { type Pairs, type Remembered, type Scope, isScopeParameter, parseScope, scopePairs } from "./scope";
import { DEFAULT_WINDOW, type Window, isPreset } from "./windows";
import { isZone } from "../format/time";

/** The prefix that the server runs under, without a slash at its end: "" or "/percapita". */
export const BASE = new URL(document.baseURI).pathname.replace(/\/$/, "");

export const SECTIONS = ["overview", "users", "traces", "models", "tools"] as const;
export type Section = (typeof SECTIONS)[number];
export type PageName = Section | "notices" | "sign-in" | "embed" | "api" | "unknown";

export interface Place {
  readonly page: PageName;
  /** Of a user or a trace, decoded: slashes, braces and newlines are part of it. */
  readonly id: string | null;
}

export function readPlace(pathname: string, base: string): Place {
  const path = pathname.startsWith(base) ? pathname.slice(base.length) : pathname;
  const [, first = "", ...others] = path.split("/");
  const id = others.length > 0 ? idOf(others.join("/")) : "";
  if (first === "") return { page: "overview", id: null };
  if (first === "users" || first === "traces") return { page: first, id: id || null };
  if (first === "docs" && id === "api") return { page: "api", id: null };
  const pages: readonly PageName[] = ["models", "tools", "notices", "sign-in", "embed"];
  const page = pages.find((name) => name === first);
  return { page: page !== undefined && id === "" ? page : "unknown", id: null };
}

/**
 * "." and ".." alone are no names in an address, encoded or not: browsers take them for directories. So they stand with a
 * semicolon, which no other id has there: its own would be encoded.
 */
const DOTS = /^\.\.?$/;

export function isDots(id: string): boolean {
  return DOTS.test(id);
}

function idOf(text: string): string {
  if (text.endsWith(";") && isDots(text.slice(0, -1))) return text.slice(0, -1);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function pathOf(page: PageName, id?: string | null): string {
  const path = page === "overview" ? "/" : page === "api" ? "/docs/api" : `/${page}`;
  return BASE + (id == null ? path : `${path}/${isDots(id) ? `${id};` : encodeURIComponent(id)}`);
}

export function usePlace(): Place {
  const pathname = usePathname();
  return useMemo(() => readPlace(pathname, BASE), [pathname]);
}

/** Where to, with these pairs as the query. */
export function href(path: string, pairs: Pairs): string {
  const search = new URLSearchParams(pairs).toString();
  return search ? `${path}?${search}` : path;
}

export function go(to: string, options: { replace?: boolean } = {}): void {
  navigate(to, options);
}

/**
 * The address's query as the parts below it see it: the browser's own, but for a card that is not drawn anew yet, which stands
 * with the query that it was drawn with.
 */
export const Search = createContext("");

/** The address's query, and how to change some of it: null takes a parameter away. */
export function useParams(): readonly [URLSearchParams, (changes: Record<string, string | null>, options?: { replace?: boolean }) => void] {
  const search = useContext(Search);
  const params = useMemo(() => new URLSearchParams(search), [search]);
  const change = useCallback((changes: Record<string, string | null>, options: { replace?: boolean } = {}) => {
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) next.delete(name);
      else next.set(name, value);
    }
    navigate(href(location.pathname, [...next]), options);
  }, []);
  return [params, change];
}

/** The scope, and how to set it; the page's own parameters stay, but a cursor, which belongs to one question. */
export function useScope(): readonly [Scope, (next: Scope) => void] {
  const search = useContext(Search);
  const scope = useMemo(() => parseScope(new URLSearchParams(search), recall()), [search]);
  const set = useCallback((next: Scope) => {
    remember(next);
    const own = [...new URLSearchParams(location.search)].filter(([name]) => !isScopeParameter(name) && name !== "cursor");
    navigate(href(location.pathname, [...scopePairs(next), ...own]));
  }, []);
  return [scope, set];
}

/** Links keep the scope, so that filters survive a change of section. */
export function useLink(): (page: PageName, id?: string | null, more?: Pairs) => string {
  const [scope] = useScope();
  return useCallback((page, id, more = []) => href(pathOf(page, id), [...scopePairs(scope), ...more]), [scope]);
}

const WINDOW = "percapita.window";
const ZONE = "percapita.tz";

/** The last choice: 28 days and the browser's zone on the first visit. */
export function recall(): Remembered {
  const preset = stored(WINDOW);
  const tz = stored(ZONE);
  return {
    window: isPreset(preset) ? { preset } : DEFAULT_WINDOW,
    tz: tz !== null && isZone(tz) ? tz : Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
  };
}

function remember({ window, tz }: { window: Window; tz: string }): void {
  try {
    if ("preset" in window) localStorage.setItem(WINDOW, window.preset);
    localStorage.setItem(ZONE, tz);
  } catch {
    // Storage is refused: the address still holds everything.
  }
}

export function stored(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}
