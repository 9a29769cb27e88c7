import { useSyncExternalStore } from "react";

const query = matchMedia("(max-width: 760px)");

/** Narrow enough for two-line rows instead of a table. */
export function usePhone(): boolean {
  return useSyncExternalStore(
    (changed) => {
      query.addEventListener("change", changed);
      return () => query.removeEventListener("change", changed);
    },
    () => query.matches,
  );
}
