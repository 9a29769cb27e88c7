import { useQuery } from "@tanstack/react-query";
import { useScope } from "../state/address";
import { API, type Problem, get } from "./client";
import type { Answer, Notice } from "./types";

export function useNotices() {
  const [{ tz }] = useScope();
  return useQuery<Answer<Notice[]>, Problem>({
    queryKey: ["notices", tz],
    queryFn: ({ signal }) => get<Answer<Notice[]>>(`${API}/notices`, [["tz", tz]], signal),
    staleTime: 60_000,
  });
}
