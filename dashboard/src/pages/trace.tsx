import { useMemo } from "react";
import { useAnswer } from "../api/answers";
import type { Answer, TraceDetail } from "../api/types";
import { lanes } from "../charts/waterfall";
import { count, duration, plural, tokens } from "../format/count";
import { dayAndClock } from "../format/time";
import { Amount, Mark, UnpricedMark, madeOf } from "../parts/amount";
import { A, shortId } from "../parts/bits";
import { Answered } from "../parts/card";
import { CopyCurl } from "../parts/controls";
import { EventPanel } from "../parts/event-panel";
import { Icon } from "../parts/icon";
import { LedgerSkeleton } from "../parts/ledger";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { copy } from "../parts/toast";
import { Waterfall } from "../parts/waterfall";
import { go, href, pathOf, useLink, useParams, useScope } from "../state/address";
import { useKey } from "../state/keys";
import { useNow } from "../state/now";
import { scopePairs, withFilter } from "../state/scope";

/** One trace: its events on a line of time, what each cost, and the chosen one beside them. */
export function TracePage({ traceId }: { traceId: string }) {
  const [params, change] = useParams();
  const link = useLink();
  const [scope] = useScope();
  const path = `traces/${encodeURIComponent(traceId)}`;
  // Windows and filters do not narrow a trace: a permalink opens the whole of it.
  const answer = useAnswer<Answer<TraceDetail>>(path, [["tz", scope.tz]]);
  const all = useMemo(() => (answer.data ? lanes(answer.data.data.events) : []), [answer.data]);
  const at = all.findIndex((lane) => lane.event.id === params.get("event"));
  // One entry of the history for the panel, whatever it showed and however it was closed.
  const choose = (id: string | null): void => change({ event: id }, { replace: at >= 0 });
  const move = (by: 1 | -1): void => {
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
    if (next) choose(next.event.id);
  };
  useKey(["ArrowDown", "ArrowUp"], (event) => move(event.key === "ArrowDown" ? 1 : -1));
  // Back to where it was listed; the open event's panel takes the key first.
  const fromUser = scope.filters.find((filter) => filter.field === "userId")?.values[0];
  useKey("Escape", () => go(fromUser === undefined ? link("traces") : link("users", fromUser), { replace: true }), { fallback: true });

  if (answer.error?.status === 404) return <NoSuchTrace traceId={traceId} />;
  const chosen = at < 0 ? null : all[at]!.event;
  return (
    <div className={chosen ? "split" : undefined}>
      <div className="page">
        <Answered answer={answer} what="This trace" skeleton={<LedgerSkeleton columns={[{ label: "Event", width: 180 }, { label: "USD", numeric: true }, { label: "", width: 320 }]} rows={8} />}>
          {({ data, meta }) => (
            <>
              <Crumbs trace={data} />
              <div className="head">
                <h1>{titleOf(data)}</h1>
                <PhoneHead />
                <UnpricedMark events={data.unpriced_events} />
                {data.errors > 0 && <Mark kind="error">{plural(data.errors, "error")}</Mark>}
                <div className="tools">
                  <CopyCurl path={path} pairs={[["tz", scope.tz]]} filters={0} />
                  <button type="button" className="button" onClick={() => void copy(location.href, "Link to this trace copied")}>
                    <Icon name="link" />
                    Copy link
                  </button>
                </div>
              </div>
              {/* A trace has no window whose hours could be provisional. */}
              <PageNotice meta={{ warnings: meta.warnings, provisional: false }} />
              <Facts trace={data} cut={meta.warnings.length > 0} />
              <Waterfall trace={data} all={all} chosen={chosen?.id ?? null} onChoose={choose} />
              <Tags tags={data.tags} userId={data.user_id} />
            </>
          )}
        </Answered>
      </div>
      {chosen && <EventPanel event={chosen} tz={scope.tz} hasPrevious={at > 0} hasNext={at < all.length - 1} onMove={move} onClose={() => choose(null)} />}
    </div>
  );
}

/** The traced block names its trace; without one, the first name that any event has. */
function titleOf(trace: TraceDetail): string {
  return trace.events.find((event) => event.type === "trace")?.name ?? trace.name ?? "Trace";
}

function Crumbs({ trace }: { trace: TraceDetail }) {
  const link = useLink();
  const [scope] = useScope();
  const fromUser = scope.filters.some((filter) => filter.field === "userId");
  return (
    <nav className="crumbs" aria-label="Breadcrumb">
      {fromUser ? <A to={link("users")}>Users</A> : <A to={link("traces")}>Traces</A>}
      {trace.user_id !== null && (
        <>
          <Icon name="right" small />
          <A className="mono" to={link("users", trace.user_id)}>
            {shortId(trace.user_id)}
          </A>
        </>
      )}
    </nav>
  );
}

/** `cut`: the answer has the first of its events alone, and warns of it; the sums are of all. */
function Facts({ trace, cut }: { trace: TraceDetail; cut: boolean }) {
  const [{ tz }] = useScope();
  const now = useNow();
  return (
    <dl className="facts">
      <div>
        <dt>Spend</dt>
        <dd>
          <Amount amount={trace.spend} made={madeOf(trace)} style="trace" sign focusable />
        </dd>
      </div>
      <div>
        <dt>Duration</dt>
        <dd>{duration(trace.duration_ms)}</dd>
      </div>
      <div>
        <dt>Events</dt>
        <dd>{cut ? `first ${count(trace.events.length)}` : count(trace.events.length)}</dd>
      </div>
      <div>
        <dt>Tokens</dt>
        <dd>{tokens(trace.tokens)}</dd>
      </div>
      {trace.agent !== null && (
        <div>
          <dt>Agent</dt>
          <dd>{trace.agent}</dd>
        </div>
      )}
      <div>
        <dt>Started</dt>
        <dd>{dayAndClock(new Date(trace.started_at), now, tz)}</dd>
      </div>
      <div>
        <dt>Trace</dt>
        <dd>
          <button type="button" className="copyable mono" title="Copy the id" onClick={() => void copy(trace.trace_id, "Trace id copied")}>
            {shortId(trace.trace_id, 24)}
          </button>
        </dd>
      </div>
    </dl>
  );
}

function Tags({ tags, userId }: { tags: Record<string, string>; userId: string | null }) {
  const [scope] = useScope();
  const all = [...(userId === null ? [] : [["userId", userId] as const]), ...Object.entries(tags).filter(([key]) => key !== "userId")];
  return (
    <section className="section tags">
      <header>
        <h2>Tags</h2>
      </header>
      {all.length === 0 && <p className="dim">This trace carries no tag.</p>}
      <div className="tag-list">
        {all.map(([key, value]) => (
          <A
            key={key}
            className="pill tag"
            title={`Traces with this tag: ${value}`}
            to={href(pathOf("traces"), scopePairs({ ...scope, filters: withFilter(scope.filters, { field: key === "userId" ? "userId" : `tag.${key}`, exclude: false, values: [value] }) }))}
          >
            {key} <i>is</i> <span className="clip">{value}</span>
          </A>
        ))}
      </div>
    </section>
  );
}

function NoSuchTrace({ traceId }: { traceId: string }) {
  const link = useLink();
  useKey("Escape", () => go(link("traces"), { replace: true }));
  return (
    <div className="page">
      <div className="head">
        <h1>There is no such trace</h1>
      </div>
      <div className="fail">
        <p>
          No event of this account carries the trace id <code>{traceId}</code>, or this key may not see it.
        </p>
        <div className="fail-actions">
          <A className="button" to={link("traces")}>
            All traces
          </A>
        </div>
      </div>
    </div>
  );
}
