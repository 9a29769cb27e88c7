import { type ReactNode, memo, useContext, useDeferredValue, useEffect, useState } from "react";
import type { Asked } from "../api/answers";
import { Problem } from "../api/client";
import type { Meta } from "../api/types";
import { clock } from "../format/time";
import { Search, useParams, useScope } from "../state/address";
import { Icon } from "./icon";

const SKELETON_AFTER_MS = 150;

/**
 * What one card's answer goes through: nothing for 150 ms, a skeleton in the real geometry, the answer, the old answer without
 * its colour while another question is asked, and an error of the same size that keeps the last good answer at hand.
 */
export function Answered<Body extends { meta: Meta }>({
  answer,
  what,
  skeleton,
  quiet = false,
  children,
}: {
  answer: Asked<Body>;
  /** "This table", "This chart". */
  what: string;
  skeleton: ReactNode;
  /** Another card of the page tells of the same failure: once is enough. */
  quiet?: boolean;
  children: (body: Body) => ReactNode;
}) {
  const [, change] = useParams();
  const [showsOld, setShowsOld] = useState(false);
  const slow = useSlow(answer.isPending);
  const { data, error, lastGood } = answer;
  const stale = answer.isPlaceholderData;
  const failed = error !== null && !answer.isFetching;
  const search = useContext(Search);
  const drawn = { search: useDeferredValue(search), data: useDeferredValue(data) };
  // Another question, whose answer is at hand or is not: what stands is drawn anew after the next frame.
  const frozen = drawn.search !== search && (stale || drawn.data !== data);

  if (data !== undefined && !failed) {
    return (
      <div className={stale ? "answered stale" : "answered"} aria-busy={stale || frozen}>
        {stale && <div className="progress" />}
        <Search value={frozen ? drawn.search : search}>
          <Drawn frozen={frozen}>{() => children(data)}</Drawn>
        </Search>
      </div>
    );
  }
  const old = data ?? lastGood;
  const again = (): void => {
    if (error !== null && pageIsGone(error)) change({ cursor: null, page: null }, { replace: true });
    else void answer.refetch();
  };
  if (failed && old !== undefined && (showsOld || data !== undefined)) {
    return (
      <div className="answered">
        {!quiet && <FailLine onAgain={again} error={error} meta={old.meta} />}
        <div className="stale">{children(old)}</div>
      </div>
    );
  }
  if (error !== null) {
    if (quiet) return null;
    return (
      <Failed what={what} error={error} onAgain={again} busy={answer.isFetching}>
        {old !== undefined && (
          <button type="button" className="button quiet" onClick={() => setShowsOld(true)}>
            Show <LocalClock at={old.meta.as_of} />
          </button>
        )}
      </Failed>
    );
  }
  return (
    <div className={slow ? "answered" : "waiting-room"} aria-busy="true">
      {slow && skeleton}
    </div>
  );
}

/** What was drawn stands as it is while frozen: what a click did is on screen before fifty rows are drawn anew. */
const Drawn = memo(
  ({ children }: { frozen: boolean; children: () => ReactNode }) => children(),
  (_, next) => next.frozen,
);
Drawn.displayName = "Drawn";

/** The old answer stands below; this line says so. */
function FailLine({ onAgain, error, meta }: { onAgain: () => void; error: Problem; meta: Meta }) {
  return (
    <div className="fail-line" role="alert">
      <Icon name="warning" />
      <span>
        {sentence(error)} Shown is the answer of <LocalClock at={meta.as_of} />.
      </span>
      <code>{reference(error)}</code>
      <Again error={error} onAgain={onAgain} />
    </div>
  );
}

/** Asks again, where that may help: a page that is gone stays gone, and the first one is at hand. */
function Again({ error, onAgain, busy = false }: { error: Problem; onAgain: () => void; busy?: boolean }) {
  const gone = pageIsGone(error);
  return (
    <button type="button" className="button" onClick={onAgain} disabled={busy}>
      <Icon name={gone ? "left" : "again"} />
      {gone ? "First page" : "Try again"}
    </button>
  );
}

/** The cursor of a copied link: its pages are kept for a quarter of an hour, and belong to one question. */
function pageIsGone(error: Problem): boolean {
  return error.status === 410 || error.parameters.includes("cursor");
}

export function Failed({
  what,
  error,
  onAgain,
  busy,
  children,
}: {
  what: string;
  error: Problem;
  onAgain: () => void;
  busy: boolean;
  children?: ReactNode;
}) {
  return (
    <div className="fail" role="alert">
      <h3>
        <Icon name="warning" />
        {what} did not load
      </h3>
      <p>
        {sentence(error)} {safe(error)}
      </p>
      <div className="fail-actions">
        <Again error={error} onAgain={onAgain} busy={busy} />
        {children}
        <code>{reference(error)}</code>
      </div>
    </div>
  );
}

/** What failed, in our words by its kind; the server's detail only where it says what the reader can change. */
export function sentence(error: Problem): string {
  if (error.status === 0) return error.detail;
  if (pageIsGone(error)) return "This page of the list is no longer kept.";
  if (error.status === 429) return "Too many questions at once; this one was turned away.";
  if (error.status === 503 || error.status === 504) return "The store did not answer in time.";
  if (error.status >= 500) return "The server could not answer this question.";
  if (error.status === 403) return "This key may not ask that.";
  const where = error.parameters.length > 0 ? ` (${error.parameters.join(", ")})` : "";
  return `The server refused the question${where}: ${error.detail.replace(/\.?$/, ".")}`;
}

function safe(error: Problem): string {
  return error.status >= 500 || error.status === 0 ? "Nothing is lost: events are still being taken, and the other cards stand." : "";
}

function reference(error: Problem): string {
  return error.requestId === null ? error.code : `${error.code} · ${error.requestId}`;
}

function LocalClock({ at }: { at: string }) {
  const [{ tz }] = useScope();
  return <>{clock(new Date(at), tz, false)}</>;
}

function useSlow(pending: boolean): boolean {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!pending) return;
    const timer = window.setTimeout(() => setSlow(true), SKELETON_AFTER_MS);
    return () => {
      window.clearTimeout(timer);
      setSlow(false);
    };
  }, [pending]);
  return slow;
}
