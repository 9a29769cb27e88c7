import { QueryCache, QueryClient, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { noteMeta } from "../state/freshness";
import { type Pairs, type Scope, questionPairs } from "../state/scope";
import { API, Problem, get } from "./client";
import type { Answer, GroupsAnswer, Me, Meta } from "./types";

/** Data moves every second, but a page that is read should not: answers are asked again when the watermark moved. */
export const STALE_MS = 30_000;

export function makeQueryClient(): QueryClient {
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      // The session ended, anywhere: ask who this is, which leads to sign-in.
      onError: (error, query) => {
        if (error instanceof Problem && error.status === 401 && query.queryKey[0] !== "me") void client.invalidateQueries({ queryKey: ["me"] });
      },
    }),
    defaultOptions: {
      queries: {
        staleTime: STALE_MS,
        retry: (failures, error) => failures < 2 && error instanceof Problem && (error.status === 0 || error.status >= 502),
        retryDelay: (attempt) => 500 * 2 ** attempt,
      },
    },
  });
  return client;
}

/** One card's answer. While another question is asked, the last answer of the same path stands, marked as stale. */
export type Asked<Body> = UseQueryResult<Body, Problem> & {
  /** The answer before the one that failed, if there was any. */
  readonly lastGood: Body | undefined;
};

export function useAnswer<Body extends { meta: Meta }>(path: string, pairs: Pairs, enabled = true, ask = get<Body>): Asked<Body> {
  const query = useQuery<Body, Problem>({
    queryKey: ["answer", path, pairs],
    queryFn: async ({ signal }) => {
      const body = await ask(`${API}/${path}`, pairs, signal);
      noteMeta(body.meta);
      return body;
    },
    placeholderData: (held, earlier) => (earlier?.queryKey[1] === path ? held : undefined),
    enabled,
  });
  const [lastGood, setLastGood] = useState<Body>();
  const { data } = query;
  if (data !== undefined && data !== lastGood) setLastGood(data);
  return { ...query, lastGood };
}

/** Days, or hours, of the window: all of them, however many pages of the most that one answer holds. */
export function useBuckets(bucket: "day" | "hour", pairs: Pairs, enabled = true): Asked<GroupsAnswer> {
  return useAnswer<GroupsAnswer>("overview", [...pairs, ["group_by", bucket], ["limit", "1000"]], enabled, allPages);
}

async function allPages(path: string, pairs: Parameters<typeof get>[1], signal?: AbortSignal): Promise<GroupsAnswer> {
  const first = await get<GroupsAnswer>(path, pairs, signal);
  const data = [...first.data];
  for (let cursor = first.next_cursor; cursor !== null; ) {
    const page = await get<GroupsAnswer>(path, [...pairs, ["cursor", cursor]], signal);
    data.push(...page.data);
    cursor = page.next_cursor;
  }
  return { ...first, data, next_cursor: null };
}

/** A question in the scope of the page. */
export function asked(scope: Scope, more: Pairs = [], options: { compare?: boolean } = {}): Pairs {
  const compare: Pairs = scope.compare && options.compare !== false ? [["compare", "previous"]] : [];
  return [...questionPairs(scope), ...compare, ...more];
}

export function useMe(): UseQueryResult<Me, Problem> {
  return useQuery<Me, Problem>({ queryKey: ["me"], queryFn: ({ signal }) => get<Me>("v1/me", [], signal), staleTime: Infinity });
}

export type { Answer };
