import type { MouseEvent, ReactNode } from "react";
import { share as shareText } from "../format/count";
import { fullTime, lastSeen } from "../format/time";
import { go } from "../state/address";
import { NotApplicable } from "./amount";

interface LinkProps {
  to: string;
  children: ReactNode;
  className?: string;
  title?: string;
  /** Arrow keys stop here. */
  rowLink?: boolean;
  "aria-current"?: "page" | "true";
}

/** A link inside the dashboard: the browser's own on any special click. */
export function A({ to, children, rowLink = false, ...rest }: LinkProps) {
  const follow = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <a href={to} onClick={follow} {...(rowLink ? { "data-row-link": "" } : {})} {...rest}>
      {children}
    </a>
  );
}

/** A part of the total as text; of what is not known there is none. */
export function Share({ of }: { of: number | null }) {
  return of === null ? <NotApplicable /> : <>{shareText(of)}</>;
}

/** Where no bar stands beside it: at the foot, under the rows' own. */
export function ShareAlone({ of }: { of: number | null }) {
  return (
    <div className="share">
      <span className="share-text">
        <Share of={of} />
      </span>
    </div>
  );
}

/** Bars are scaled to the largest row, the text to the total. */
export function ShareBar({ part, largest, share, hatched = false }: { part: number; largest: number; share: number | null; hatched?: boolean }) {
  if (share === null) return <NotApplicable />;
  const width = largest > 0 ? Math.min(100, (part / largest) * 100) : 0;
  return (
    <div className="share">
      <svg className={hatched ? "bar hatched" : "bar"} viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">
        <rect className="bar-ground" width="100" height="5" />
        <rect width={part > 0 ? Math.max(width, 0.6) : 0} height="5" />
      </svg>
      <span className="share-text">{shareText(share)}</span>
    </div>
  );
}

const MOST_SHOWN = 32;
const LEAST_SHOWN = 24;
const TAIL = 8;

/** An id is never cut below 24 characters, and then in its middle: both ends tell ids apart. */
export function shortId(id: string, most = MOST_SHOWN): string {
  return id.length <= most ? id : `${id.slice(0, most - TAIL - 1)}…${id.slice(-TAIL)}`;
}

/** A name in a column of its own width: whole on hover where it was cut. */
export function Name({ text, most = LEAST_SHOWN }: { text: string; most?: number }) {
  const short = shortId(text, most);
  return <span {...(short === text ? {} : { title: text })}>{short}</span>;
}

/** A name where the column's width is not known: it is cut by the browser, as little as it must be, its last characters stay. */
export function Middle({ text }: { text: string }) {
  if (text.length <= 2 * TAIL) return <>{text}</>;
  return (
    <span className="middle" title={text}>
      <span className="clip">{text.slice(0, -TAIL)}</span>
      <span>{text.slice(-TAIL)}</span>
    </span>
  );
}

export function LastSeen({ at, now, tz }: { at: string | null; now: Date; tz: string }) {
  if (at === null) return null;
  const time = new Date(at);
  return (
    <time dateTime={at} title={fullTime(time, tz)}>
      {lastSeen(time, now, tz)}
    </time>
  );
}
