import { Suspense, lazy, useState } from "react";
import { asked, useAnswer } from "../api/answers";
import { API, Problem, get } from "../api/client";
import type { Answer, Event, Trace, TraceDetail, TracesAnswer } from "../api/types";
import { Answered, sentence } from "../parts/card";
import { CopyCurl, Export, type Exported, Segments } from "../parts/controls";
import { Find } from "../parts/find";
import { LedgerSkeleton, type Sorting } from "../parts/ledger";
import { PAGE_ROWS, Pager } from "../parts/pager";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { PhoneListSkeleton } from "../parts/phone-list";
import { TraceTable } from "../parts/trace-table";
import { count } from "../format/count";
import { go, useLink, useParams, useScope } from "../state/address";
import { usePaging } from "../state/paging";
import { usePhone } from "../state/phone";
import { type Scope, optional, withFilter } from "../state/scope";
import { Empty } from "./empty";

// With the panel of events, which the first load does not need.
const LooseEvent = lazy(() => import("./loose-event").then((page) => ({ default: page.LooseEvent })));

const NEWEST = "-started_at";
/** Each a column's head too; failed ones are a list of their own. */
const LISTS = [
  { value: NEWEST, label: "Newest" },
  { value: "-spend", label: "Costliest" },
  { value: "-duration_ms", label: "Slowest" },
  { value: "failed", label: "Failed" },
] as const;
type ListName = (typeof LISTS)[number]["value"];

/** The question of a list of traces, as every such list asks it. */
export function traceQuestion(scope: Scope, sort: string, cursor: string | null) {
  return asked(scope, [["limit", String(PAGE_ROWS)], ...optional("sort", sort === NEWEST ? null : sort), ...optional("cursor", cursor)], { compare: false });
}

/** How the address sorts traces, newest first unless said; and how to sort them otherwise. */
export function useTraceSort(): { readonly sort: string; readonly sorting: Sorting } {
  const [params, change] = useParams();
  const sort = params.get("sort") ?? NEWEST;
  const onSort = (column: string, descending: boolean): void => {
    const next = (descending ? "-" : "") + column;
    change({ sort: next === NEWEST ? null : next, cursor: null, page: null });
  };
  return { sort, sorting: { column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort } };
}

/** How a list says its order; "" where only its heads do. */
export function orderWords(sort: string): string {
  return { [NEWEST]: "newest first", "-spend": "costliest first", "-duration_ms": "slowest first" }[sort] ?? "";
}

/** How many traces are listed in all: what the totals count, or more where pages hold more; "" where only the next page knows. */
export function tracesOf(page: number, { data, totals, next_cursor }: TracesAnswer): string {
  const last = (page - 1) * PAGE_ROWS + data.length;
  if (next_cursor === null) return count(last);
  return totals.traces > last ? count(totals.traces) : "";
}

/** "51 – 100 of 1,204 traces." */
export function rowsOf(page: number, body: TracesAnswer): string {
  const first = (page - 1) * PAGE_ROWS + 1;
  const all = tracesOf(page, body);
  return `${first} – ${first - 1 + body.data.length}${all === "" ? "" : ` of ${all}`} traces.`;
}

/** Traces in which something failed: those with an event of that status. */
function failedOnly(scope: Scope): Scope {
  return { ...scope, filters: withFilter(scope.filters, { field: "status", exclude: false, values: ["error"] }) };
}

export function Traces() {
  const [params, change] = useParams();
  const [scope] = useScope();
  const link = useLink();
  const phone = usePhone();
  const paging = usePaging();
  const { sort, sorting } = useTraceSort();
  const failed = params.get("list") === "failed";
  const narrowed = failed ? failedOnly(scope) : scope;
  const answer = useAnswer<TracesAnswer>("traces", traceQuestion(narrowed, sort, paging.cursor));
  const loose = params.get("event");
  const [missed, setMissed] = useState<string | null>(null);

  const open = (id: string | null): void => change({ event: id }, { replace: loose !== null });
  const find = async (id: string): Promise<void> => {
    setMissed(null);
    if (id === "") return;
    try {
      const found = await whereIs(id);
      if (found === null) setMissed(`No trace and no event has the id ${id}.`);
      else if ("trace" in found) go(link("traces", found.trace, found.event === undefined ? [] : [["event", found.event]]));
      else open(found.event);
    } catch (error) {
      setMissed(error instanceof Problem ? sentence(error) : String(error));
    }
  };
  // Exports of traces are newest first, whatever stands on screen.
  const exported: Exported = { path: "traces", pairs: traceQuestion(narrowed, NEWEST, null).filter(([name]) => name !== "limit"), name: "traces" };

  // By the rows: totals count a trace where its first event stands, which the window or a pill may leave out.
  const none = answer.data?.data.length === 0 && paging.cursor === null && !answer.isPlaceholderData && !failed;
  const list = none ? (
    <Empty scope={scope} unattributed={null} otherwise="No trace in this window" />
  ) : (
    <div className="page">
      <div className="head">
        <h1>Traces</h1>
        <PhoneHead exported={exported} />
        <Segments
          label="Which traces"
          value={failed ? "failed" : (sort as ListName)}
          options={LISTS}
          onChoose={(value: ListName) => change({ list: value === "failed" ? value : null, sort: value === "failed" || value === NEWEST ? null : value, cursor: null, page: null })}
        />
        <div className="tools">
          <Find label="Find a trace or event id" value="" settles={false} onFind={(id) => void find(id)} />
          <CopyCurl path="traces" pairs={traceQuestion(narrowed, sort, null)} filters={narrowed.filters.length} />
          <Export {...exported} />
        </div>
      </div>
      <PageNotice meta={answer.data?.meta} />
      {missed !== null && (
        <p className="notice" role="alert">
          <span>{missed}</span>
        </p>
      )}
      <Answered answer={answer} what="This table" skeleton={phone ? <PhoneListSkeleton rows={8} /> : <LedgerSkeleton columns={SKELETON} rows={15} />}>
        {(body) => (
          <>
            <TraceTable body={body} linkTo={(trace: Trace) => link("traces", trace.trace_id)} first={paging.page === 1} sorting={sorting} withUser withUntraced={!failed} />
            <Pager paging={paging} nextCursor={body.next_cursor}>
              {rowsOf(paging.page, body)}
            </Pager>
          </>
        )}
      </Answered>
    </div>
  );
  if (loose === null) return list;
  return (
    <div className="split">
      {list}
      <Suspense fallback={null}>
        <LooseEvent id={loose} onClose={() => open(null)} />
      </Suspense>
    </div>
  );
}

/** Whose id this is: a trace's, an event's in its trace, or an event's outside any. */
async function whereIs(id: string): Promise<{ trace: string; event?: string } | { event: string } | null> {
  if ((await found<Answer<TraceDetail>>(`traces/${encodeURIComponent(id)}`)) !== null) return { trace: id };
  const event = (await found<Answer<Event>>(`events/${encodeURIComponent(id)}`))?.data;
  if (!event) return null;
  return event.trace_id ? { trace: event.trace_id, event: event.id } : { event: event.id };
}

async function found<Body>(path: string): Promise<Body | null> {
  try {
    return await get<Body>(`${API}/${path}`, []);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

const SKELETON = [
  { label: "Started", width: 64 },
  { label: "User", width: 140 },
  { label: "Operation", width: 90 },
  { label: "Agent", width: 90 },
  { label: "Spend, USD", numeric: true },
  { label: "Events", numeric: true, width: 24 },
  { label: "Tokens", numeric: true, width: 38 },
  { label: "Duration", numeric: true, width: 110 },
  { label: "Notes", width: 60 },
];
