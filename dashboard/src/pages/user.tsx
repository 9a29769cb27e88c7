import { type Asked, asked, useAnswer, useBuckets } from "../api/answers";
import type { Model, ModelsAnswer, TokensByClass, TracesAnswer, UserAnswer, UserDetail, UsersAnswer } from "../api/types";
import { userQuestion, useUser } from "../api/user";
import { averageBefore } from "../charts/average";
import { DayBars } from "../charts/day-bars";
import { barsOf } from "../charts/day-data";
import { DayTable } from "../charts/day-table";
import { count, share as shareText, tokens } from "../format/count";
import { divide, nanos, sum } from "../format/decimal";
import { dollarText, mean } from "../format/money";
import { Amount, Rate, UnpricedMark, madeOf } from "../parts/amount";
import { A, Middle, Share } from "../parts/bits";
import { Answered } from "../parts/card";
import { ChartOrTable, CopyCurl, Export, type Exported } from "../parts/controls";
import { Icon } from "../parts/icon";
import { type Kpi, KpiSkeleton, Kpis } from "../parts/kpi";
import { type Column, type FootRow, LedgerSkeleton, Table } from "../parts/ledger";
import { shareOf, slotOf } from "../parts/money-columns";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { Pager } from "../parts/pager";
import { TipLine, useTip } from "../parts/tip";
import { copy } from "../parts/toast";
import { TraceTable } from "../parts/trace-table";
import { go, href, pathOf, useLink, useParams, useScope } from "../state/address";
import { useKey } from "../state/keys";
import { useNow } from "../state/now";
import { usePaging } from "../state/paging";
import { type Filter, type Scope, scopePairs, withFilter } from "../state/scope";
import { orderWords, rowsOf, traceQuestion, tracesOf, useTraceSort } from "./traces";

/** One user: what they cost, against all others; where it goes; their traces. */
export function UserPage({ userId }: { userId: string }) {
  const [params, change] = useParams();
  const [scope] = useScope();
  const link = useLink();
  const question = userQuestion(userId, asked(scope));
  const filter: Filter = { field: "userId", exclude: false, values: [userId] };
  const own: Scope = { ...scope, filters: withFilter(scope.filters, filter) };
  const detail = useUser(userId, asked(scope));
  const shows = params.get("show") === "table" ? "table" : "chart";
  const show = (next: "chart" | "table"): void => change({ show: next === "table" ? "table" : null }, { replace: true });
  useKey("t", () => show(shows === "table" ? "chart" : "table"));
  // In its place in the history: back leads to where one came from, not here again.
  useKey("Escape", () => go(link("users"), { replace: true }));

  if (detail.error?.status === 404) return <NeverSeen userId={userId} />;
  const tags = detail.data?.data.tags ?? {};
  const exported: Exported = { path: "events", pairs: asked(own, [], { compare: false }), name: "events" };
  return (
    <div className="page">
      <nav className="crumbs" aria-label="Breadcrumb">
        <A to={link("users")}>Users</A>
        <Icon name="right" small />
        <Rank spend={detail.data?.data.spend ?? null} />
      </nav>
      <div className="head">
        <h1 className="user-id">{userId}</h1>
        <button type="button" className="button quiet icon-only" aria-label="Copy the id" title="Copy the id" onClick={() => void copy(userId, "Id copied")}>
          <Icon name="copy" />
        </button>
        <PhoneHead exported={exported} />
        <span className="head-tags">
          {Object.entries(tags)
            .filter(([key]) => key !== "userId")
            .slice(0, 4)
            .map(([key, value]) => (
              <A key={key} className="mark plain" to={href(pathOf("users"), scopePairs({ ...scope, filters: withFilter(scope.filters, { field: `tag.${key}`, exclude: false, values: [value] }) }))}>
                {key} {value}
              </A>
            ))}
          <UnpricedMark events={detail.data?.data.unpriced_events ?? 0} />
        </span>
        <div className="tools">
          <CopyCurl {...question} filters={scope.filters.length} />
          <Export {...exported} />
        </div>
      </div>
      <PageNotice meta={detail.data?.meta} />
      <Answered answer={detail} what="The key figures" skeleton={<KpiSkeleton labels={["Spend", "Against the mean", "Per trace", "Traces", "From cache"]} />}>
        {(body) => <UserKpis user={body.data} compared={scope.compare && body.meta.previous != null} />}
      </Answered>
      <div className="halves even">
        <UserDays scope={own} shows={shows} onShow={show} detail={detail.data} />
        <WhereItGoes scope={own} />
      </div>
      <UserTraces scope={own} />
    </div>
  );
}

/** How many users of this window cost more: the server counts them by the amount. */
function useAll(spend: string | null): Asked<UsersAnswer> {
  const [scope] = useScope();
  const others: Scope = { ...scope, filters: scope.filters.filter((filter) => filter.field !== "userId") };
  return useAnswer<UsersAnswer>("users", asked(others, [["limit", "1"], ["above", spend ?? "0"]], { compare: false }), spend !== null);
}

function Rank({ spend }: { spend: string | null }) {
  const { data: all } = useAll(spend);
  if (!all || spend === null || nanos(spend) === 0n) return <span>User</span>;
  return (
    <span>
      Rank {count((all.totals.users_above ?? 0) + 1)} of {count(all.totals.users)}
    </span>
  );
}

function UserKpis({ user, compared }: { user: UserDetail; compared: boolean }) {
  const all = useAll(user.spend);
  const before = compared ? (user.previous ?? null) : undefined;
  const average = all.data?.totals.mean_spend ?? null;
  const perTrace = user.spend === null ? null : mean(nanos(user.spend), user.traces);
  const earlierPerTrace = before?.spend == null ? undefined : mean(nanos(before.spend), before.traces);
  const kpis: Kpi[] = [
    {
      label: "Spend",
      value: user.spend === null ? "–" : <Amount amount={user.spend} made={madeOf(user)} sign focusable />,
      now: user.spend,
      before: before?.spend,
      beforeText: before?.spend == null ? undefined : dollarText(before.spend),
    },
    {
      label: "Against the mean",
      value: factor(user.spend, average),
      note: average === null ? null : `mean user ${dollarText(average)}`,
      // Without a spend there is no such question; one that failed has no figure either.
      pending: all.isLoading,
    },
    {
      label: "Per trace",
      value: perTrace === null ? "–" : <Amount amount={perTrace} sign focusable />,
      now: perTrace,
      before: earlierPerTrace,
      beforeText: earlierPerTrace == null ? undefined : dollarText(earlierPerTrace),
    },
    { label: "Traces", value: count(user.traces), now: user.traces, before: before?.traces, beforeText: before == null ? undefined : count(before.traces) },
    fromCache(user.tokens_by_class),
  ];
  return <Kpis kpis={kpis} />;
}

/** The share of input tokens that were read from a cache; what it saved in money only the price of each call knows. */
function fromCache(classes: TokensByClass): Kpi {
  const input = inputTokens(classes);
  const read = classes.input_cache_read;
  return {
    label: "From cache",
    value: input > 0 ? <CacheShare classes={classes} /> : "–",
    note: input > 0 ? `${tokens(read)} of ${tokens(input)} input tokens` : null,
  };
}

function inputTokens({ input_uncached, input_cache_read, input_cache_write }: TokensByClass): number {
  return input_uncached + input_cache_read + input_cache_write;
}

function CacheShare({ classes }: { classes: TokensByClass }) {
  const input = inputTokens(classes);
  const tip = useTip(() => (
    <>
      <h3>{shareText(classes.input_cache_read / input)} of input tokens</h3>
      <TipLine name="Read from cache">{count(classes.input_cache_read)}</TipLine>
      <TipLine name="Written to cache">{count(classes.input_cache_write)}</TipLine>
      <TipLine name="Not cached">{count(classes.input_uncached)}</TipLine>
      <div className="tip-line tip-sum">
        Input<b>{count(input)}</b>
      </div>
    </>
  ));
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- focus shows the exact counts
    <span ref={tip} data-tip tabIndex={0}>
      {shareText(classes.input_cache_read / input)}
    </span>
  );
}

function factor(spend: string | null, average: string | null): string {
  if (spend === null || average === null || nanos(average) === 0n) return "–";
  const tenths = divide(nanos(spend) * 10n, nanos(average));
  return tenths >= 100n ? `${count(Number(divide(tenths, 10n)))}×` : `${tenths / 10n}.${tenths % 10n}×`;
}

function UserDays({ scope, shows, onShow, detail }: { scope: Scope; shows: "chart" | "table"; onShow: (shows: "chart" | "table") => void; detail: UserAnswer | undefined }) {
  const now = useNow();
  const hourly = "preset" in scope.window && scope.window.preset === "1d";
  const answer = useBuckets(hourly ? "hour" : "day", asked(scope, [], { compare: false }));
  const average = averageBefore(detail?.data.previous, detail?.meta.previous, hourly);
  return (
    <section className="section">
      <header>
        <h2>{hourly ? "Spend an hour" : "Spend a day"}</h2>
        <div className="right">
          <ChartOrTable shows={shows} onChoose={onShow} />
        </div>
      </header>
      <Answered answer={answer} what="This chart" skeleton={<div className="chart-room low" />}>
        {(body) => {
          const bars = barsOf(body.data, [], [], true, scope.tz, now, hourly);
          const series = [{ name: "spend", color: "data" as const }];
          if (shows === "table") return <DayTable bars={bars} series={series} first={hourly ? "Hour" : "Day"} />;
          return (
            <DayBars
              title="Spend a day"
              series={series}
              bars={bars}
              height={200}
              average={average}
            />
          );
        }}
      </Answered>
    </section>
  );
}

const MODELS = 5;

function WhereItGoes({ scope }: { scope: Scope }) {
  const answer = useAnswer<ModelsAnswer>("models", asked(scope, [["limit", String(MODELS)]], { compare: false }));
  return (
    <section className="section">
      <header>
        <h2>Where it goes</h2>
        <div className="right dim">by model</div>
      </header>
      <Answered answer={answer} what="This table" skeleton={<div className="table-room low" />}>
        {({ data, totals, rest }) => {
          const slot = slotOf([...data, rest, totals]);
          const columns: Column<Model>[] = [
            { id: "model", label: "Model", className: "id yields", cell: (model) => (model.model === null ? "tools" : <Middle text={model.model} />) },
            { id: "tokens", label: "Tokens", numeric: true, className: "narrow-off", cell: (model) => tokens(model.tokens) },
            { id: "rate", label: "USD per 1M", numeric: true, className: "mid narrow-off", cell: (model) => <Rate row={model} /> },
            { id: "spend", label: "Spend, USD", numeric: true, slot, cell: (model) => <Amount amount={model.spend} made={madeOf(model)} /> },
            { id: "share", label: "Share", numeric: true, className: "mid", cell: (model) => <Share of={shareOf(model, totals)} /> },
          ];
          const foot: FootRow[] = [];
          if (rest.calls > 0 || sum([rest.spend]) > 0n) {
            const cells = { model: "Other models", tokens: tokens(rest.tokens), rate: <Rate row={rest} />, spend: <Amount amount={rest.spend} made={madeOf(rest)} />, share: <Share of={shareOf(rest, totals)} /> };
            foot.push({ kind: "rest", cells });
          }
          foot.push({
            kind: "total",
            cells: { model: "Total", tokens: tokens(totals.tokens), rate: <Rate row={totals} />, spend: <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />, share: "100%" },
          });
          return <Table caption="Spend by model" className="legend" columns={columns} rows={data} rowKey={(model) => `${model.provider ?? ""}/${model.model ?? ""}`} foot={foot} />;
        }}
      </Answered>
    </section>
  );
}

function UserTraces({ scope }: { scope: Scope }) {
  const paging = usePaging();
  const { sort, sorting } = useTraceSort();
  const answer = useAnswer<TracesAnswer>("traces", traceQuestion(scope, sort, paging.cursor));
  return (
    <section className="section">
      <header>
        <h2>Traces</h2>
        {answer.data && <span className="dim">{[tracesOf(paging.page, answer.data), orderWords(sort)].filter(Boolean).join(", ")}</span>}
      </header>
      <Answered answer={answer} what="This table" skeleton={<LedgerSkeleton columns={[{ label: "Started", width: 64 }, { label: "Operation" }, { label: "Spend, USD", numeric: true }, { label: "Duration", numeric: true }]} rows={7} />}>
        {(body) =>
          body.data.length === 0 ? (
            <p className="nothing">No trace of this user in this window.</p>
          ) : (
            <>
              <TraceTable
                body={body}
                linkTo={(trace) => href(pathOf("traces", trace.trace_id), scopePairs(scope))}
                first={paging.page === 1}
                sorting={sorting}
                withUser={false}
                withUntraced
              />
              <Pager paging={paging} nextCursor={body.next_cursor}>
                {rowsOf(paging.page, body)}
              </Pager>
            </>
          )
        }
      </Answered>
    </section>
  );
}

function NeverSeen({ userId }: { userId: string }) {
  const link = useLink();
  return (
    <div className="page">
      <nav className="crumbs" aria-label="Breadcrumb">
        <A to={link("users")}>Users</A>
      </nav>
      <div className="head">
        <h1 className="user-id">{userId}</h1>
      </div>
      <div className="fail">
        <h3>This user was never seen</h3>
        <p>No event of this account carries this userId. Ids are compared verbatim: case and spaces count.</p>
        <div className="fail-actions">
          <A className="button" to={link("users")}>
            All users
          </A>
        </div>
      </div>
    </div>
  );
}

