import { useQuery } from "@tanstack/react-query";
import type { Scope } from "../state/scope";
import { STALE_MS, asked } from "./answers";
import { API, get } from "./client";
import type { GroupsAnswer, TagsAnswer, UsersAnswer } from "./types";

const OFFERED = 50;

export interface Offered {
  readonly value: string;
  readonly spend: string | null;
}

/** Values that a filter may take, by what was spent on them in this window, under the other filters. */
export function useValues(field: string, scope: Scope, sought: string): { values: Offered[]; isPending: boolean; isError: boolean } {
  const others: Scope = { ...scope, filters: scope.filters.filter((filter) => filter.field !== field) };
  const limit: [string, string] = ["limit", String(OFFERED)];
  const isUser = field === "userId";
  const pairs = isUser
    ? asked(others, [limit, ...(sought ? ([["q", sought]] satisfies [string, string][]) : [])], { compare: false })
    : asked(others, [["group_by", field], limit], { compare: false });
  const { data, isPending, isError } = useQuery({
    queryKey: ["values", field, pairs],
    queryFn: async ({ signal }): Promise<Offered[]> => {
      if (isUser) {
        const answer = await get<UsersAnswer>(`${API}/users`, pairs, signal);
        return answer.data.map((row) => ({ value: row.user_id, spend: row.spend }));
      }
      const answer = await get<GroupsAnswer>(`${API}/overview`, pairs, signal);
      return answer.data.map((row) => ({ value: row.key ?? "", spend: row.spend }));
    },
    staleTime: STALE_MS,
    placeholderData: (held) => held,
    // How a call ended is one of three; there is nothing to look up.
    enabled: field !== "status",
  });
  if (field === "status") return { values: ["ok", "error", "aborted"].map((value) => ({ value, spend: null })), isPending: false, isError: false };
  const needle = sought.toLowerCase();
  const values = (data ?? []).filter(({ value }) => isUser || value.toLowerCase().includes(needle));
  return { values, isPending, isError };
}

const ASKED_FIRST = ["org", "plan", "feature"];

/** Tag keys of the account in this window, by spend; the user's own key has a section of its own. */
export function useTagKeys(scope: Scope): string[] {
  const pairs = asked({ ...scope, filters: [] }, [["limit", String(OFFERED)]], { compare: false });
  const { data } = useQuery({
    queryKey: ["tags", pairs],
    queryFn: ({ signal }) => get<TagsAnswer>(`${API}/tags`, pairs, signal),
    staleTime: 5 * 60_000,
    placeholderData: (held) => held,
  });
  const keys = (data?.data ?? []).map((row) => row.key).filter((key) => key !== "userId");
  // Every event has its tags, so their spends are often all the same: what people ask for first comes first then.
  const rank = (key: string): number => (ASKED_FIRST.includes(key) ? ASKED_FIRST.indexOf(key) : ASKED_FIRST.length);
  return keys.sort((a, b) => rank(a) - rank(b));
}

