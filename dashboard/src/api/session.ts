import { useQueryClient } from "@tanstack/react-query";
import { go, pathOf } from "../state/address";
import { remove } from "./client";

/** Ends the session, here at least where the server does not answer; nothing that was read stays. */
export function useSignOut(): () => Promise<void> {
  const client = useQueryClient();
  return async () => {
    await remove("v1/session").catch(() => undefined);
    client.clear();
    go(pathOf("sign-in"));
  };
}
