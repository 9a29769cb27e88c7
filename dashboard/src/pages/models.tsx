import { asked, useAnswer, useBuckets } from "../api/answers";
import type { Group, GroupsAnswer, Model, ModelsAnswer, Row } from "../api/types";
import { MiniBars } from "../charts/mini-bars";
import { Swatch } from "../charts/day-bars";
import { TokenMix } from "../charts/token-mix";
import { count, duration, plural, share as shareText, tokens } from "../format/count";
import { Amount, NotApplicable, Rate, UnpricedMark, madeOf } from "../parts/amount";
import { A, ShareAlone, ShareBar } from "../parts/bits";
import { Answered } from "../parts/card";
import { CopyCurl, Export, type Exported, Segments } from "../parts/controls";
import { Change } from "../parts/delta";
import { Icon } from "../parts/icon";
import { type Column, type FootRow, Ledger, LedgerSkeleton } from "../parts/ledger";
import { shareOf, slotOf, spendNumber } from "../parts/money-columns";
import { PAGE_ROWS, Pager } from "../parts/pager";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { RowLink } from "../parts/row-link";
import { href, pathOf, useLink, useParams, useScope } from "../state/address";
import { usePaging } from "../state/paging";
import { usePhone } from "../state/phone";
import { type Pairs, type Scope, optional, scopePairs, withFilter } from "../state/scope";
import { Empty } from "./empty";

const VIEWS = [
  { value: "model", label: "Model" },
  { value: "provider", label: "Provider" },
  { value: "service_tier", label: "Service tier" },
] as const;
type View = (typeof VIEWS)[number]["value"];

export function Models() {
  const [params, change] = useParams();
  const [scope] = useScope();
  const paging = usePaging();
  const view = VIEWS.find(({ value }) => value === params.get("view"))?.value ?? "model";
  const sort = params.get("sort") ?? "-spend";
  const sorted = optional("sort", sort === "-spend" ? null : sort);
  const own: Pairs = [["limit", String(PAGE_ROWS)], ...sorted, ...optional("cursor", paging.cursor)];
  const models = useAnswer<ModelsAnswer>("models", asked(scope, own), view === "model");
  const groups = useAnswer<GroupsAnswer>("overview", asked(scope, [["group_by", view], ...own]), view !== "model");
  const question = view === "model" ? { path: "models", pairs: asked(scope, sorted) } : { path: "overview", pairs: asked(scope, [["group_by", view], ...sorted]) };
  const onSort = (column: string, descending: boolean): void => change({ sort: descending && column === "spend" ? null : (descending ? "-" : "") + column, cursor: null, page: null });
  const exported: Exported = { ...question, name: view === "model" ? "models" : view };

  if (models.data?.totals.events === 0 && !models.isPlaceholderData) return <Empty scope={scope} unattributed={null} />;
  return (
    <div className="page">
      <div className="head">
        <h1>Models</h1>
        <PhoneHead exported={exported} />
        <Segments label="One row per" value={view} options={VIEWS} onChoose={(next: View) => change({ view: next === "model" ? null : next, sort: null, cursor: null, page: null })} />
        <div className="tools">
          <CopyCurl path={question.path} pairs={question.pairs} filters={scope.filters.length} />
          <Export {...exported} />
        </div>
      </div>
      <PageNotice meta={(view === "model" ? models : groups).data?.meta} />
      {view === "model" ? (
        <Answered answer={models} what="This table" skeleton={<LedgerSkeleton columns={SKELETON} rows={8} />}>
          {(body) => (
            <>
              <UnpricedNotice models={body.data} />
              <ModelTable body={body} sort={sort} onSort={onSort} />
              <Pager paging={paging} nextCursor={body.next_cursor}>
                <MixLegend />
              </Pager>
              <EachDay models={body.data} />
            </>
          )}
        </Answered>
      ) : (
        <Answered answer={groups} what="This table" skeleton={<LedgerSkeleton columns={SKELETON} rows={4} />}>
          {(body) => <GroupTable view={view} body={body} sort={sort} onSort={onSort} />}
        </Answered>
      )}
    </div>
  );
}

const SKELETON = [
  { label: "Model", width: 168 },
  { label: "Spend, USD", numeric: true },
  { label: "Change", numeric: true, width: 38 },
  { label: "Share", numeric: true, width: 120 },
  { label: "Calls", numeric: true },
  { label: "Tokens", numeric: true, width: 38 },
  { label: "Token mix", width: 84 },
  { label: "USD per 1M", numeric: true },
  { label: "p50", numeric: true, width: 38 },
  { label: "p95", numeric: true, width: 38 },
  { label: "Errors", numeric: true, width: 30 },
];

/** A model is dated by its name; a row of its own for what tools cost. */
function ModelTable({ body, sort, onSort }: { body: ModelsAnswer; sort: string; onSort: (column: string, descending: boolean) => void }) {
  const [scope] = useScope();
  const link = useLink();
  const phone = usePhone();
  const { data, totals, rest } = body;
  const compared = scope.compare && body.meta.previous != null;
  const hasRest = rest.calls > 0 || rest.unpriced_events > 0;
  const largest = Math.max(0, ...data.map(spendNumber));
  const change = (row: Row) => <Change now={row.spend} before={row.previous ? row.previous.spend : null} money />;
  const open = (model: Model): string =>
    model.model === null ? link("tools") : href(pathOf("users"), scopePairs(narrowedTo(scope, model)));
  const columns: Column<Model>[] = [
    {
      id: "model",
      label: "Model",
      sort: "model",
      cell: (model) => (
        <div className="id-cell">
          {model.model === null ? <RowLink to={open(model)} id="Tools" mono={false} /> : <RowLink to={open(model)} id={model.model} most={phone ? 24 : 32} />}
          <span className="second-label">{model.provider ?? (model.model === null ? "billed by providers" : "")}</span>
          {model.spend !== null && <UnpricedMark events={model.unpriced_events} />}
        </div>
      ),
    },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf([...data, hasRest ? rest : null, totals]), cell: (model) => <Amount amount={model.spend} made={madeOf(model)} /> },
    ...(compared ? [{ id: "change", label: "Change", numeric: true, cell: (model: Model) => (model.spend === null ? <NotApplicable /> : change(model)) }] : []),
    { id: "share", label: "Share", numeric: true, sort: "share", cell: (model) => <ShareBar part={spendNumber(model)} largest={largest} share={shareOf(model, totals)} /> },
    { id: "calls", label: "Calls", numeric: true, sort: "calls", cell: (model) => count(model.calls) },
    { id: "tokens", label: "Tokens", numeric: true, sort: "tokens", cell: (model) => tokens(model.tokens) },
    { id: "mix", label: "Token mix", cell: (model) => <TokenMix classes={model.tokens_by_class} /> },
    { id: "rate", label: "USD per 1M", numeric: true, className: "mid", cell: (model) => <Rate row={model} /> },
    { id: "p50", label: "p50", numeric: true, cell: (model) => <Latency of={model.latency_ms.p50} /> },
    { id: "p95", label: "p95", numeric: true, cell: (model) => <Latency of={model.latency_ms.p95} /> },
    { id: "errors", label: "Errors", numeric: true, sort: "errors", className: "mid", cell: (model) => <ErrorRate row={model} /> },
  ];
  const foot: FootRow[] = [];
  if (hasRest) foot.push({ kind: "rest", cells: { model: "Other models", ...sums(rest, totals, compared) } });
  foot.push({ kind: "total", cells: { model: "Total", ...sums(totals, totals, compared, true), errors: <ErrorRate row={totals} /> } });
  return (
    <Ledger
      caption="Spend by model"
      columns={columns}
      rows={data}
      rowKey={keyOf}
      rowHref={open}
      foot={foot}
      sorting={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort }}
    />
  );
}

function sums(row: Row, totals: Row, compared: boolean, total = false) {
  return {
    spend: <Amount amount={row.spend} made={madeOf(row)} sign={total} focusable={total} />,
    ...(compared ? { change: <Change now={row.spend} before={row.previous ? row.previous.spend : null} /> } : {}),
    share: <ShareAlone of={total ? 1 : shareOf(row, totals)} />,
    calls: count(row.calls),
    tokens: tokens(row.tokens),
    rate: <Rate row={row} />,
  };
}

function Latency({ of }: { of: number | null }) {
  return of === null ? <NotApplicable /> : <>{duration(of)}</>;
}

function ErrorRate({ row }: { row: Row }) {
  return row.events === 0 ? <NotApplicable /> : <>{row.errors === 0 ? "0%" : shareText(row.errors / row.events)}</>;
}

function MixLegend() {
  return (
    <span className="mix-legend">
      {["input, not cached", "cache reads", "cache writes", "output"].map((name, index) => (
        <span key={name}>
          <Swatch color={index + 1} />
          {name}
        </span>
      ))}
    </span>
  );
}

/** At most one notice: the largest cause. */
function UnpricedNotice({ models }: { models: readonly Model[] }) {
  const [scope] = useScope();
  const unpriced = models.filter((model) => model.model !== null && model.unpriced_events > 0).sort((a, b) => b.unpriced_events - a.unpriced_events);
  const worst = unpriced.find((model) => model.spend === null);
  if (!worst) return null;
  return (
    <div className="notice">
      <Icon name="warning" />
      <span>
        <b>
          {plural(worst.unpriced_events, "call")} to {worst.model} {worst.unpriced_events === 1 ? "has" : "have"} no price.
        </b>{" "}
        They are counted, but not in the spend: the total is a lower bound.
      </span>
      <A className="button" to={href(pathOf("traces"), scopePairs(narrowedTo(scope, worst)))}>
        Show these calls
      </A>
    </div>
  );
}

const SHOWN = 4;

function EachDay({ models }: { models: readonly Model[] }) {
  const shown = models.filter((model) => model.model !== null && spendNumber(model) > 0).slice(0, SHOWN);
  if (shown.length === 0) return null;
  return (
    <section className="section small-multiples">
      <header>
        <h2>Spend a day, each on its own scale</h2>
      </header>
      <div className="multiples">
        {shown.map((model) => (
          <ModelDays key={keyOf(model)} model={model} />
        ))}
      </div>
    </section>
  );
}

/** A question a model: its provider is part of it, and days come without limit. */
function ModelDays({ model }: { model: Model }) {
  const [scope] = useScope();
  const answer = useBuckets("day", asked(narrowedTo(scope, model), [], { compare: false }));
  return (
    <Answered answer={answer} what="This chart" skeleton={<div className="chart-room low" />}>
      {(body) => <MiniBars name={model.model!} days={body.data} />}
    </Answered>
  );
}

/** The scope of one row: providers call different models by the same name. */
function narrowedTo(scope: Scope, { provider, model }: Model): Scope {
  const filters = withFilter(scope.filters, { field: "provider", exclude: false, values: [provider ?? ""] });
  return { ...scope, filters: withFilter(filters, { field: "model", exclude: false, values: [model ?? ""] }) };
}

function keyOf({ provider, model }: Model): string {
  return `${provider ?? ""}/${model ?? ""}`;
}

function GroupTable({ view, body, sort, onSort }: { view: Exclude<View, "model">; body: GroupsAnswer; sort: string; onSort: (column: string, descending: boolean) => void }) {
  const [scope] = useScope();
  const { data, totals } = body;
  const compared = scope.compare && body.meta.previous != null;
  const largest = Math.max(0, ...data.map(spendNumber));
  const columns: Column<Group>[] = [
    {
      id: "model",
      label: view === "provider" ? "Provider" : "Service tier",
      sort: "key",
      cell: (row) => (
        <div className="id-cell">
          {row.key ?? <span className="dim">(none)</span>}
          <UnpricedMark events={row.unpriced_events} />
        </div>
      ),
    },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf([...data, totals]), cell: (row) => <Amount amount={row.spend} made={madeOf(row)} /> },
    ...(compared ? [{ id: "change", label: "Change", numeric: true, cell: (row: Group) => <Change now={row.spend} before={row.previous ? row.previous.spend : null} money /> }] : []),
    { id: "share", label: "Share", numeric: true, cell: (row) => <ShareBar part={spendNumber(row)} largest={largest} share={shareOf(row, totals)} /> },
    { id: "calls", label: "Calls", numeric: true, sort: "calls", cell: (row) => count(row.calls) },
    { id: "tokens", label: "Tokens", numeric: true, sort: "tokens", cell: (row) => tokens(row.tokens) },
    { id: "mix", label: "Token mix", cell: (row) => <TokenMix classes={row.tokens_by_class} /> },
    { id: "rate", label: "USD per 1M", numeric: true, className: "mid", cell: (row) => <Rate row={row} /> },
    { id: "errors", label: "Errors", numeric: true, sort: "errors", className: "mid", cell: (row) => <ErrorRate row={row} /> },
  ];
  return (
    <>
      <Ledger
        caption={`Spend by ${view}`}
        columns={columns}
        rows={data}
        rowKey={(row) => row.key ?? ""}
        foot={[{ kind: "total", cells: { model: "Total", ...sums(totals, totals, compared, true), errors: <ErrorRate row={totals} /> } }]}
        sorting={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort }}
      />
      <div className="under">
        <MixLegend />
      </div>
    </>
  );
}
