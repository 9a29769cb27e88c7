import { asked, useAnswer } from "../api/answers";
import type { Row, Tool, ToolsAnswer } from "../api/types";
import { count, duration, share as shareText } from "../format/count";
import { nanos } from "../format/decimal";
import { dollarText } from "../format/money";
import { Amount, NotApplicable, UnpricedMark, madeOf } from "../parts/amount";
import { A, LastSeen, Name, ShareAlone, ShareBar } from "../parts/bits";
import { Answered } from "../parts/card";
import { CopyCurl, Export, type Exported } from "../parts/controls";
import { Change } from "../parts/delta";
import { KpiSkeleton, Kpis } from "../parts/kpi";
import { type Column, type FootRow, Ledger, LedgerSkeleton } from "../parts/ledger";
import { slotOf } from "../parts/money-columns";
import { PAGE_ROWS, Pager } from "../parts/pager";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { useLink, useParams, useScope } from "../state/address";
import { useNow } from "../state/now";
import { usePaging } from "../state/paging";
import { optional } from "../state/scope";

/** A tool that fails more often than this is worth the colour of failure. */
const OFTEN = 0.05;

/** Calls are tool calls here; spend is what providers bill for the tool itself. */
export function Tools() {
  const [params, change] = useParams();
  const [scope] = useScope();
  const paging = usePaging();
  const sort = params.get("sort") ?? "-calls";
  const sorted = optional("sort", sort === "-calls" ? null : sort);
  const answer = useAnswer<ToolsAnswer>("tools", asked(scope, [["limit", String(PAGE_ROWS)], ...sorted, ...optional("cursor", paging.cursor)]));
  const none = answer.data?.data.length === 0 && paging.cursor === null && !answer.isPlaceholderData;
  const exported: Exported = { path: "tools", pairs: asked(scope, sorted), name: "tools" };
  return (
    <div className="page">
      <div className="head">
        <h1>Tools</h1>
        <PhoneHead exported={exported} />
        <div className="tools">
          <CopyCurl path="tools" pairs={exported.pairs} filters={scope.filters.length} />
          <Export {...exported} />
        </div>
      </div>
      <PageNotice meta={answer.data?.meta} />
      {none ? (
        <div className="fail">
          <h3>No tool was called in this window</h3>
          <p>A tool call is an event of type tool. The wrapped clients send one for each call that a model asks for; a function of your own can be wrapped too.</p>
        </div>
      ) : (
        <Answered
          answer={answer}
          what="This table"
          skeleton={
            <>
              <KpiSkeleton labels={["Tool calls", "Failed", "Slowest p95", "Billed by providers"]} />
              <LedgerSkeleton columns={SKELETON} rows={8} />
            </>
          }
        >
          {(body) => (
            <>
              <ToolKpis body={body} compared={scope.compare && body.meta.previous != null} />
              <ToolTable body={body} sort={sort} onSort={(column, descending) => change({ sort: descending && column === "calls" ? null : (descending ? "-" : "") + column, cursor: null, page: null })} />
              <Pager paging={paging} nextCursor={body.next_cursor}>
                Spend here is what providers bill for the tool itself. It is part of the totals on Overview, Users and Models.
              </Pager>
            </>
          )}
        </Answered>
      )}
    </div>
  );
}

const SKELETON = [
  { label: "Tool", width: 130 },
  { label: "Calls", numeric: true },
  { label: "Share", numeric: true, width: 120 },
  { label: "Failed", numeric: true, width: 38 },
  { label: "p50", numeric: true, width: 38 },
  { label: "p95", numeric: true, width: 38 },
  { label: "Traces", numeric: true, width: 38 },
  { label: "Users", numeric: true, width: 38 },
  { label: "Spend, USD", numeric: true },
  { label: "Last seen", width: 64 },
];

function ToolKpis({ body, compared }: { body: ToolsAnswer; compared: boolean }) {
  const { data, totals } = body;
  const before = compared ? totals.previous : undefined;
  const slowest = data.reduce<Tool | null>((most, tool) => ((tool.latency_ms.p95 ?? 0) > (most?.latency_ms.p95 ?? 0) ? tool : most), null);
  return (
    <Kpis
      kpis={[
        { label: "Tool calls", value: count(totals.calls), now: totals.calls, before: before?.calls, beforeText: before == null ? undefined : count(before.calls) },
        {
          label: "Failed",
          value: totals.calls > 0 ? shareText(totals.errors / totals.calls) : "–",
          note: before && before.calls > 0 ? `${shareText(before.errors / before.calls)} before` : `${count(totals.errors)} of ${count(totals.calls)} calls`,
        },
        { label: "Slowest p95", value: slowest?.latency_ms.p95 == null ? "–" : duration(slowest.latency_ms.p95), note: slowest && <span className="mono">{slowest.tool_name}</span> },
        {
          label: "Billed by providers",
          value: totals.spend === null ? "–" : <Amount amount={totals.spend} sign focusable />,
          now: totals.spend,
          before: before?.spend,
          beforeText: before?.spend == null ? undefined : dollarText(before.spend),
        },
      ]}
    />
  );
}

function ToolTable({ body, sort, onSort }: { body: ToolsAnswer; sort: string; onSort: (column: string, descending: boolean) => void }) {
  const [scope] = useScope();
  const link = useLink();
  const now = useNow();
  const { data, totals, rest } = body;
  const compared = scope.compare && body.meta.previous != null;
  const largest = Math.max(0, ...data.map((tool) => tool.calls));
  const cost = (row: Row) => (row.spend !== null && nanos(row.spend) === 0n ? <NotApplicable /> : <Amount amount={row.spend} made={{ unpriced: row.unpriced_events }} />);
  const columns: Column<Tool>[] = [
    {
      id: "tool",
      label: "Tool",
      sort: "tool_name",
      cell: (tool) => (
        <div className="id-cell">
          <span className="id"><Name text={tool.tool_name} most={32} /></span>
          {tool.spend !== null && nanos(tool.spend) > 0n && <span className="second-label">provider-billed</span>}
          <UnpricedMark events={tool.unpriced_events} />
        </div>
      ),
    },
    { id: "calls", label: "Calls", numeric: true, sort: "calls", cell: (tool) => <span className="strong">{count(tool.calls)}</span> },
    ...(compared ? [{ id: "change", label: "Change", numeric: true, cell: (tool: Tool) => <Change now={tool.calls} before={tool.previous ? tool.previous.calls : null} /> }] : []),
    { id: "share", label: "Share", numeric: true, sort: "share", cell: (tool) => <ShareBar part={tool.calls} largest={largest} share={totals.calls > 0 ? tool.calls / totals.calls : 0} /> },
    { id: "failed", label: "Failed", numeric: true, sort: "errors", cell: (tool) => <FailedShare tool={tool} /> },
    { id: "p50", label: "p50", numeric: true, cell: (tool) => (tool.latency_ms.p50 === null ? <NotApplicable /> : duration(tool.latency_ms.p50)) },
    { id: "p95", label: "p95", numeric: true, cell: (tool) => (tool.latency_ms.p95 === null ? <NotApplicable /> : duration(tool.latency_ms.p95)) },
    { id: "traces", label: "Traces", numeric: true, sort: "traces", cell: (tool) => count(tool.traces) },
    { id: "users", label: "Users", numeric: true, sort: "users", cell: (tool) => count(tool.users) },
    {
      id: "top",
      label: "Called most by",
      cell: (tool) => {
        const top = tool.top_users[0];
        return top ? (
          <A className="id" to={link("users", top.user_id)}>
            <Name text={top.user_id} />
          </A>
        ) : null;
      },
    },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf([...data, totals]), cell: cost },
    { id: "seen", label: "Last seen", sort: "last_seen", className: "mid", cell: (tool) => <LastSeen at={tool.last_seen} now={now} tz={scope.tz} /> },
  ];
  const foot: FootRow[] = [];
  // Calls of the tools not shown are what the total has beyond those that are.
  const restCalls = totals.calls - data.reduce((sum, tool) => sum + tool.calls, 0);
  if (restCalls > 0) foot.push({ kind: "rest", cells: { tool: "Other tools", calls: count(restCalls), spend: cost(rest) } });
  foot.push({
    kind: "total",
    cells: {
      tool: "Total",
      calls: count(totals.calls),
      ...(compared ? { change: <Change now={totals.calls} before={totals.previous ? totals.previous.calls : null} /> } : {}),
      share: <ShareAlone of={1} />,
      failed: totals.calls > 0 ? shareText(totals.errors / totals.calls) : "",
      spend: <Amount amount={totals.spend} made={madeOf({ ...totals, tokens: 0 })} sign focusable />,
    },
  });
  return <Ledger caption="Tool calls by tool" columns={columns} rows={data} rowKey={(tool) => tool.tool_name} foot={foot} sorting={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort }} />;
}

function FailedShare({ tool }: { tool: Tool }) {
  const failed = 1 - tool.success_rate;
  return <span className={failed > OFTEN ? "bad" : undefined}>{tool.errors === 0 ? "0%" : shareText(failed)}</span>;
}
