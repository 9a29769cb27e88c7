import { useSyncExternalStore } from "react";

// A sheet of paper is as narrow, and takes the tables.
const query = matchMedia("screen and (max-width: 760px)");

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
