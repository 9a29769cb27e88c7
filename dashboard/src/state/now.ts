import { useEffect } from "react";
import { store, useStore } from "./store";

/** The clock of the page. Relative times need no more than half a minute. */
const TICK_MS = 30_000;
const now = store(new Date());

export function useNow(): Date {
  return useStore(now);
}

export function useTicking(): void {
  useEffect(() => {
    const tick = (): void => now.set(new Date());
    const timer = window.setInterval(tick, TICK_MS);
    document.addEventListener("visibilitychange", tick);
    return () => {
      window.clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, []);
}
