import type { ReactNode } from "react";
import type { Meta } from "../api/types";
import { clock } from "../format/time";
import { A } from "./bits";
import { Icon } from "./icon";
import { behindText } from "./scope-bar";
import { useLink, useScope } from "../state/address";
import { LATE_SECONDS, freshness } from "../state/freshness";
import { useStore } from "../state/store";

/**
 * What the reader must know about the numbers below, one thing at a time: over a minute behind, they say where they stop; what the
 * server warns of, a filter by a tag that nobody sent most of all; an hour that waits to be checked.
 */
export function PageNotice({ meta }: { meta: Pick<Meta, "warnings" | "provisional"> | undefined }) {
  const [{ tz }] = useScope();
  const { behindSeconds, completeThrough } = useStore(freshness);
  if (behindSeconds !== null && behindSeconds > LATE_SECONDS && completeThrough !== null) {
    return (
      <Strip explained>
        <b>Data is {behindText(behindSeconds)} behind.</b> Events are safe in the log; the numbers below stop at {clock(completeThrough, tz, false)}.
      </Strip>
    );
  }
  if (meta && meta.warnings.length > 0) return <Strip>{meta.warnings.map(sentence).join(" ")}</Strip>;
  if (meta?.provisional) {
    return (
      <Strip explained>
        <b>The numbers are provisional.</b> An hour of this window waits to be checked against the log, and may still change.
      </Strip>
    );
  }
  return null;
}

function Strip({ explained = false, children }: { explained?: boolean; children: ReactNode }) {
  const link = useLink();
  return (
    <div className="notice" role="status">
      <Icon name="warning" />
      <span>{children}</span>
      {explained && (
        <A className="button" to={link("notices")}>
          What this means
        </A>
      )}
    </div>
  );
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
}
