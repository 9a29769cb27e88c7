import type { Trace, TracesAnswer } from "../api/types";
import { count, duration, tokens } from "../format/count";
import { exact, nanos, sum } from "../format/decimal";
import { fullTime, listTime } from "../format/time";
import { useScope } from "../state/address";
import { useNow } from "../state/now";
import { usePhone } from "../state/phone";
import { Amount, Mark, UnpricedMark, madeOf } from "./amount";
import { A, Name, shortId } from "./bits";
import { type Column, type FootRow, Ledger, type Sorting } from "./ledger";
import { slotOf } from "./money-columns";

/** Traces as they are sorted, with what is not shown, what stands outside any trace, and the total. */
export function TraceTable({
  body,
  linkTo,
  first,
  sorting,
  withUser,
  withUntraced,
}: {
  body: TracesAnswer;
  linkTo: (trace: Trace) => string;
  /** The first page: where it is the newest, what is not shown is earlier. */
  first: boolean;
  sorting: Sorting;
  withUser: boolean;
  /** Whether events outside any trace are part of the total. */
  withUntraced: boolean;
}) {
  const [scope] = useScope();
  const now = useNow();
  const phone = usePhone();
  const { data, untraced } = body;
  const longest = Math.max(1, ...data.map((trace) => trace.duration_ms));
  const columns: Column<Trace>[] = [
    {
      id: "started",
      label: "Started",
      sort: "started_at",
      className: "mid",
      cell: (trace) => (
        <A to={linkTo(trace)} rowLink>
          <time dateTime={trace.started_at} title={fullTime(new Date(trace.started_at), scope.tz)}>
            {listTime(new Date(trace.started_at), now, scope.tz)}
          </time>
        </A>
      ),
    },
    ...(withUser ? [{ id: "user", label: "User", cell: (trace: Trace) => (trace.user_id === null ? <span className="dim">(unattributed)</span> : <span className="id"><Name text={trace.user_id} /></span>) }] : []),
    { id: "name", label: "Operation", cell: (trace) => <span className="clip-cell">{trace.name ?? <span className="dim mono">{shortId(trace.trace_id, 24)}</span>}</span> },
    { id: "agent", label: "Agent", className: "mid", cell: (trace) => trace.agent !== null && <Name text={trace.agent} /> },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf(data, "trace"), cell: (trace) => <Amount amount={trace.spend} made={madeOf(trace)} style="trace" /> },
    { id: "events", label: "Events", numeric: true, sort: "events", cell: (trace) => count(trace.events) },
    { id: "tokens", label: "Tokens", numeric: true, sort: "tokens", cell: (trace) => tokens(trace.tokens) },
    ...(withUser ? [] : [{ id: "models", label: "Models", className: "mono mid", cell: (trace: Trace) => <ModelsOf trace={trace} /> }]),
    {
      id: "duration",
      label: "Duration",
      numeric: true,
      sort: "duration_ms",
      cell: (trace) => (
        <div className="duration">
          {withUser && (
            <svg className="bar grey" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">
              <rect width={Math.max(0.8, (trace.duration_ms / longest) * 100)} height="5" />
            </svg>
          )}
          <span>{duration(trace.duration_ms)}</span>
        </div>
      ),
    },
    {
      id: "notes",
      label: "Notes",
      sort: "errors",
      cell: (trace) => (
        <span className="marks">
          <UnpricedMark events={trace.unpriced_events} />
          {trace.errors > 0 && <Mark kind="error">{trace.errors === 1 ? "error" : `${count(trace.errors)} errors`}</Mark>}
        </span>
      ),
    },
  ];
  const foot = footOf(body, withUntraced ? (untraced ?? null) : null, first && sorting.column === "started_at" && sorting.descending);
  if (phone) return <TraceList traces={data} linkTo={linkTo} foot={foot} withUser={withUser} />;
  return (
    <Ledger
      caption="Traces"
      columns={columns}
      rows={data}
      rowKey={(trace) => trace.trace_id}
      rowHref={linkTo}
      foot={foot}
      sorting={sorting}
    />
  );
}

/** Two lines a trace: what and how much; when, whose, how long, and what is to be noted. */
function TraceList({ traces, linkTo, foot, withUser }: { traces: readonly Trace[]; linkTo: (trace: Trace) => string; foot: readonly FootRow[]; withUser: boolean }) {
  const [scope] = useScope();
  const now = useNow();
  return (
    <div className="phone-list">
      <ul>
        {traces.map((trace) => (
          <li key={trace.trace_id}>
            <A to={linkTo(trace)} className="list-row" rowLink>
              <span className="clip">{trace.name ?? shortId(trace.trace_id, 24)}</span>
              <Amount amount={trace.spend} made={madeOf(trace)} style="trace" />
              <span className="list-second">
                <span>{listTime(new Date(trace.started_at), now, scope.tz)}</span>
                {withUser && <span className="clip mono">{trace.user_id ?? "(unattributed)"}</span>}
                <UnpricedMark events={trace.unpriced_events} />
                {trace.errors > 0 && <Mark kind="error">{trace.errors === 1 ? "error" : count(trace.errors)}</Mark>}
              </span>
              <span className="dim">{duration(trace.duration_ms)}</span>
            </A>
          </li>
        ))}
      </ul>
      {foot.map((row) => (
        <div key={row.kind} className={row.kind === "total" ? "list-row list-total" : "list-row foot"}>
          <span>{row.cells["started"]}</span>
          {row.cells["spend"]}
        </div>
      ))}
    </div>
  );
}

function footOf({ data, totals, next_cursor }: TracesAnswer, untraced: string | null, newest: boolean): FootRow[] {
  // Totals may count fewer traces than are listed: where one more page follows there is more all the same.
  const others = totals.traces - data.length;
  const rows: FootRow[] = [];
  const outside = untraced !== null && nanos(untraced) > 0n;
  const left = {
    events: count(totals.events - data.reduce((all, trace) => all + trace.events, 0)),
    tokens: tokens(totals.tokens - data.reduce((all, trace) => all + trace.tokens, 0)),
  };
  if (totals.spend !== null) {
    const spend = nanos(totals.spend) - sum(data.map((trace) => trace.spend)) - sum([untraced]);
    if ((others > 0 || next_cursor !== null) && spend >= 0n) {
      // What is outside any trace is known by its spend alone: where both are left, neither has a count of its own.
      rows.push({ kind: "rest", cells: { started: [others > 0 ? count(others) : "", newest ? "earlier" : "other", "traces"].join(" ").trim(), spend: <Amount amount={exact(spend)} />, ...(outside ? {} : left) } });
    }
  }
  if (outside) {
    rows.push({ kind: "unattributed", cells: { started: <span className="nobody">(outside any trace)</span>, spend: <Amount amount={untraced} />, ...(others > 0 ? {} : left) } });
  }
  rows.push({
    kind: "total",
    cells: {
      started: "Total",
      spend: <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />,
      events: count(totals.events),
      tokens: tokens(totals.tokens),
    },
  });
  return rows;
}

function ModelsOf({ trace }: { trace: Trace }) {
  const [main, ...others] = trace.models;
  if (main === undefined) return null;
  return (
    <span title={trace.models.join(", ")}>
      {shortId(main, 24)}
      {others.length > 0 ? ` +${others.length}` : ""}
    </span>
  );
}
