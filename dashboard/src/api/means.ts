import { useQueries } from "@tanstack/react-query";
import { nanos } from "../format/decimal";
import { mean } from "../format/money";
import { useScope } from "../state/address";
import { type Pairs, type Scope, withFilter } from "../state/scope";
import { portions } from "./portions";
import { type Asked, STALE_MS, asked, useAnswer } from "./answers";
import { API, get } from "./client";
import type { Group, GroupsAnswer, UsersAnswer } from "./types";

/** The key figure "spend per user": the server's own, everywhere. It divides by the users of whose spend something is known. */
export function useMeanSpend(scope: Scope): Asked<UsersAnswer> {
  return useAnswer<UsersAnswer>("users", asked(scope, [["limit", "1"]]));
}

/**
 * Spend per user of each of these rows: attributed spend alone, because "(unattributed)" is nobody. null where there is nobody to
 * divide by, or nothing known; undefined while it is not known yet.
 */
export function useMeans(groupBy: string, rows: readonly Group[]): (key: string | null) => string | null | undefined {
  const [scope] = useScope();
  const field = groupBy === "user" ? "userId" : groupBy;
  // `userId!=` leaves the events of nobody out; a filter of this field never lets in more than it had.
  const nobody = { field: "userId", exclude: true, values: [""] };
  const narrowed = (values: readonly string[]): Scope => ({ ...scope, filters: withFilter(scope.filters, { field, exclude: false, values }) });
  const asks = portions(rows.map((row) => row.key ?? "")).map((values): Pairs => {
    const attributed = narrowed(values);
    return asked({ ...attributed, filters: withFilter(attributed.filters, nobody) }, [["group_by", groupBy], ["limit", String(values.length)]], { compare: false });
  });
  const answers = useQueries({
    queries: asks.map((pairs) => ({
      queryKey: ["answer", "means", pairs],
      queryFn: ({ signal }: { signal: AbortSignal }) => get<GroupsAnswer>(`${API}/overview`, pairs, signal),
      staleTime: STALE_MS,
    })),
  });
  const attributed = new Map(answers.flatMap(({ data }) => data?.data ?? []).map((row) => [row.key, row]));
  // Where something has no price some users may be left out of the mean, and the server alone knows how many: asked anew as the row moves.
  const doubtful = [...attributed.values()].filter((row) => row.unpriced_events > 0);
  const exact = useQueries({
    queries: doubtful.map((row) => {
      const pairs = asked(narrowed([row.key ?? ""]), [["limit", "1"]], { compare: false });
      return {
        queryKey: ["mean", pairs, row.events],
        queryFn: ({ signal }: { signal: AbortSignal }) => get<UsersAnswer>(`${API}/users`, pairs, signal),
        staleTime: Infinity,
      };
    }),
  });
  const told = new Map(doubtful.map((row, index) => [row.key, exact[index]?.data?.totals.mean_spend]));
  const known = answers.every(({ data }) => data !== undefined);
  return (key) => {
    if (told.has(key)) return told.get(key);
    const row = attributed.get(key);
    if (row === undefined) return known ? null : undefined;
    return row.spend === null ? null : mean(nanos(row.spend), row.users);
  };
}
