import { useQuery } from "@tanstack/react-query";
import { nanos } from "../format/decimal";
import { mean } from "../format/money";
import { useScope } from "../state/address";
import { STALE_MS, asked } from "./answers";
import { API, get } from "./client";
import type { GroupsAnswer } from "./types";

/**
 * Spend per user of each value: attributed spend alone, because "(unattributed)" is nobody. `userId!=` leaves the events of
 * nobody out. null where there is nobody to divide by; undefined while it is not known.
 */
export function useMeans(groupBy: string): (key: string | null) => string | null | undefined {
  const [scope] = useScope();
  const attributed = { ...scope, filters: [...scope.filters, { field: "userId", exclude: true, values: [""] }] };
  const pairs = asked(attributed, [["group_by", groupBy], ["limit", "200"]], { compare: false });
  const { data } = useQuery({
    queryKey: ["answer", "means", pairs],
    queryFn: ({ signal }) => get<GroupsAnswer>(`${API}/overview`, pairs, signal),
    staleTime: STALE_MS,
    placeholderData: (held) => held,
  });
  const byKey = new Map((data?.data ?? []).map((row) => [row.key, row.spend === null ? null : mean(nanos(row.spend), row.users)]));
  return (key) => (data === undefined ? undefined : (byKey.get(key) ?? null));
}
