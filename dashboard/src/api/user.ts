import { isDots } from "../state/address";
import type { Pairs } from "../state/scope";
import { type Asked, useAnswer } from "./answers";
import { get } from "./client";
import type { UserAnswer, UsersAnswer } from "./types";

/**
 * Where one user's answer is. "." and ".." have no address of their own that a browser would ask for: they are asked for by the
 * filter, among all users, where first sight and tags are not told.
 */
export function userQuestion(userId: string, pairs: Pairs): { readonly path: string; readonly pairs: Pairs } {
  if (!isDots(userId)) return { path: `users/${encodeURIComponent(userId)}`, pairs };
  return { path: "users", pairs: [...pairs.filter(([name]) => name !== "userId"), ["userId", userId], ["limit", "1"]] };
}

export function useUser(userId: string, pairs: Pairs): Asked<UserAnswer> {
  const question = userQuestion(userId, pairs);
  return useAnswer<UserAnswer>(question.path, question.pairs, true, isDots(userId) ? amongAll : get<UserAnswer>);
}

async function amongAll(path: string, pairs: Parameters<typeof get>[1], signal?: AbortSignal): Promise<UserAnswer> {
  const answer = await get<UsersAnswer>(path, pairs, signal);
  const { data, totals } = answer;
  const row = data[0] ?? { ...totals, top_model: null, previous: null };
  return { ...answer, data: { ...row, user_id: pairs.find(([name]) => name === "userId")![1], first_seen: "", tags: {} } } as unknown as UserAnswer;
}
