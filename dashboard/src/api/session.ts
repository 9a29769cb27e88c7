import { useQueryClient } from "@tanstack/react-query";
import { go, pathOf } from "../state/address";
import { post, remove } from "./client";

/** Begins a session. What was asked before is forgotten, its refusals too: whoever this is sees their own answers alone. */
export function useEnter(): (what: { key: string } | { link: string }) => Promise<void> {
  const client = useQueryClient();
  return async (what) => {
    await post("v1/session", what);
    client.clear();
  };
}

/** Ends the session, here at least where the server does not answer; nothing that was read stays. */
export function useSignOut(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await remove("v1/session").catch(() => undefined);
    client.clear();
    go(pathOf("sign-in"));
  };
}
