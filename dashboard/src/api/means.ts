import { useQuery } from "@tanstack/react-query";
import { nanos } from "../format/decimal";
import { mean } from "../format/money";
import { useScope } from "../state/address";
import { STALE_MS, asked } from "./answers";
import { API, get } from "./client";
import type { GroupsAnswer, UsersAnswer } from "./types";

export interface Means {
  /** null where nobody is there to divide by; undefined while it is not known. */
  readonly of: (key: string | null) => string | null | undefined;
  readonly total: string | null | undefined;
}

/**
 * Spend per user of each value: attributed spend alone, because "(unattributed)" is nobody. `userId!=` leaves the events of
 * nobody out.
 */
export function useMeans(groupBy: string): Means {
  const [scope] = useScope();
  const attributed = { ...scope, filters: [...scope.filters, { field: "userId", exclude: true, values: [""] }] };
  const groups = asked(attributed, [["group_by", groupBy], ["limit", "200"]], { compare: false });
  const { data } = useQuery({
    queryKey: ["answer", "means", groups],
    queryFn: ({ signal }) => get<GroupsAnswer>(`${API}/overview`, groups, signal),
    staleTime: STALE_MS,
    placeholderData: (held) => held,
  });
  const users = asked(attributed, [["limit", "1"]], { compare: false });
  const { data: all } = useQuery({
    queryKey: ["answer", "mean", users],
    queryFn: ({ signal }) => get<UsersAnswer>(`${API}/users`, users, signal),
    staleTime: STALE_MS,
    placeholderData: (held) => held,
  });
  const byKey = new Map((data?.data ?? []).map((row) => [row.key, row.spend === null ? null : mean(nanos(row.spend), row.users)]));
  return {
    of: (key) => (data === undefined ? undefined : (byKey.get(key) ?? null)),
    total: all?.totals.mean_spend,
  };
}
