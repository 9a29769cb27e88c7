import type { QueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Problem, watch } from "../api/client";
import type { Meta, Watermark } from "../api/types";
import { store } from "./store";

/** How old the numbers on screen are. */
export interface Freshness {
  readonly asOf: Date | null;
  readonly completeThrough: Date | null;
  readonly behindSeconds: number | null;
  /** The tab is hidden: nothing is asked. */
  readonly paused: boolean;
}

export const freshness = store<Freshness>({ asOf: null, completeThrough: null, behindSeconds: null, paused: false });

/** Behind this, a notice says so. */
export const LATE_SECONDS = 60;

/** Pages refresh at most this often, however fast data moves; a reader's eyes are the limit. */
const REFRESH_MS = 5_000;
/** Without a stream, or without movement, answers are asked again this often. */
const POLL_MS = 20_000;
const RETRY_MS = [2_000, 5_000, 15_000, 30_000] as const;

export function noteMeta(meta: Meta): void {
  note({ as_of: meta.as_of, complete_through: meta.complete_through });
}

function note({ as_of, complete_through }: Pick<Watermark, "as_of" | "complete_through">): void {
  const asOf = new Date(as_of);
  const held = freshness.get();
  if (held.asOf && asOf < held.asOf) return;
  const completeThrough = complete_through === null ? null : new Date(complete_through);
  const behindSeconds = completeThrough && Math.max(0, (asOf.getTime() - completeThrough.getTime()) / 1000);
  freshness.set({ ...held, asOf, completeThrough, behindSeconds });
}

/** Keeps the page as fresh as the data: by the server's stream, by polling where there is none, and not at all while hidden. */
export function useLiveRefresh(client: QueryClient): void {
  useEffect(() => {
    let abort = new AbortController();
    let timer = 0;
    let poll = 0;
    let last = 0;

    const refresh = (): void => {
      last = Date.now();
      void client.invalidateQueries({ queryKey: ["answer"] });
    };
    const moved = (mark: Watermark): void => {
      note(mark);
      window.clearTimeout(timer);
      timer = window.setTimeout(refresh, Math.max(0, last + REFRESH_MS - Date.now()));
    };
    const follow = async (signal: AbortSignal): Promise<void> => {
      for (let attempt = 0; !signal.aborted; attempt += 1) {
        let pause: number = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]!;
        try {
          await watch((mark) => {
            attempt = 0;
            moved(mark);
          }, signal);
        } catch (error) {
          // No session any more: the page asks who it is, and goes to sign-in.
          if (error instanceof Problem && error.status === 401) void client.invalidateQueries({ queryKey: ["me"] });
          // Whatever it was, it may pass: too many questions, a deployment, a proxy.
          if (error instanceof Problem) pause = Math.max(pause, error.retryAfterMs ?? 0);
        }
        await new Promise((done) => setTimeout(done, pause));
      }
    };
    const start = (): void => {
      abort = new AbortController();
      poll = window.setInterval(() => {
        if (Date.now() - last > POLL_MS) refresh();
      }, POLL_MS);
      void follow(abort.signal);
    };
    const stop = (): void => {
      abort.abort();
      window.clearInterval(poll);
      window.clearTimeout(timer);
    };
    const onVisibility = (): void => {
      freshness.set({ ...freshness.get(), paused: document.hidden });
      stop();
      if (!document.hidden) {
        refresh();
        start();
      }
    };
    last = Date.now();
    if (!document.hidden) start();
    document.addEventListener("visibilitychange", onVisibility);
    return () => {
      stop();
      document.removeEventListener("visibilitychange", onVisibility);
    };
  }, [client]);
}
