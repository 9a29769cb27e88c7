import { useMemo } from "react";
import { asked, useAnswer, useBuckets } from "../api/answers";
import { useMeanSpend, useMeans } from "../api/means";
import type { Group, GroupsAnswer, OverviewAnswer, UsersAnswer } from "../api/types";
import { useTagKeys } from "../api/values";
import { DayBars, Swatch } from "../charts/day-bars";
import { averageBefore } from "../charts/average";
import { colorsOf } from "../charts/colors";
import { MOST_SERIES, barsOf, seriesOf } from "../charts/day-data";
import { DayTable } from "../charts/day-table";
import { count, plural, tokens } from "../format/count";
import { exact, knownSum, nanosOrNull } from "../format/decimal";
import { dollarText } from "../format/money";
import { dayOf, daysBetween, monthName } from "../format/time";
import { Amount, NotApplicable, UnpricedMark, madeOf } from "../parts/amount";
import { A, Middle, Share } from "../parts/bits";
import { Answered } from "../parts/card";
import { ChartOrTable, CopyCurl, Export, type Exported, Segments } from "../parts/controls";
import { Change } from "../parts/delta";
import { type Kpi, KpiSkeleton, Kpis } from "../parts/kpi";
import { shareOf, spendNumber } from "../parts/money-columns";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { TagMenu } from "../parts/tag-menu";
import { useLink, useParams, useScope } from "../state/address";
import { useKey } from "../state/keys";
import { useNow } from "../state/now";
import { type Filter, type Scope, fieldName, withFilter } from "../state/scope";
import { daysOf } from "../state/windows";
import { href, pathOf } from "../state/address";
import { scopePairs } from "../state/scope";
import { Empty } from "./empty";
import { RunningTotal } from "./running-total";

/** Beyond this many days the parts of each would not fit one answer; the total of a day still does. */
const MOST_DAYS_OF_PARTS = 190;

export function Overview() {
  const [params, change] = useParams();
  const [scope] = useScope();
  const keys = useTagKeys(scope);
  const asks = asked(scope);
  const answer = useAnswer<OverviewAnswer>("overview", asks);
  const perUser = useMeanSpend(scope);
  const chosen = params.get("by");
  const by = chosen ?? (keys.length > 0 ? `tag.${keys.includes("plan") ? "plan" : keys[0]!}` : "model");
  const shows = params.get("show") === "table" ? "table" : "chart";
  const show = (next: "chart" | "table"): void => change({ show: next === "table" ? "table" : null }, { replace: true });
  useKey("t", () => show(shows === "table" ? "chart" : "table"));
  const exported: Exported = { path: "overview", pairs: asked(scope, [["group_by", `day,${by}`]], { compare: false }), name: "overview" };

  if (answer.data?.data.events === 0 && !answer.isPlaceholderData) return <Empty scope={scope} unattributed={null} />;
  return (
    <div className="page">
      <div className="head">
        <h1>Overview</h1>
        <PhoneHead exported={exported} />
        <div className="tools">
          <CopyCurl path="overview" pairs={asks} filters={scope.filters.length} />
          <Export {...exported} />
        </div>
      </div>
      <PageNotice meta={answer.data?.meta} />
      <Answered answer={answer} what="The key figures" skeleton={<KpiSkeleton labels={["Spend", "Spend per user", "Users", "Traces", "Tokens"]} />}>
        {(body) => <OverviewKpis body={body} perUser={perUser.data?.totals} pending={perUser.isLoading} compared={scope.compare} />}
      </Answered>
      <ByGroup by={by} keys={keys} perUser={perUser.data?.totals.mean_spend ?? null} shows={shows} onShow={show} onBy={(next) => change({ by: next }, { replace: true })} />
      <div className="halves">
        <RunningTotal overview={answer.data} shows={shows} onShow={show} />
        <ByModel />
      </div>
    </div>
  );
}

/** `perUser` is another question's, and may be `pending`. */
function OverviewKpis({ body, perUser, pending, compared }: { body: OverviewAnswer; perUser: UsersAnswer["totals"] | undefined; pending: boolean; compared: boolean }) {
  const { data } = body;
  const before = compared ? data.previous : undefined;
  const mean = perUser?.mean_spend ?? null;
  const earlierMean = compared ? perUser?.previous?.mean_spend : undefined;
  const numbers = (label: string, now: number, text: (value: number) => string, earlier: number | null | undefined): Kpi => ({
    label,
    value: text(now),
    now,
    before: earlier,
    beforeText: earlier == null ? undefined : text(earlier),
  });
  return (
    <Kpis
      kpis={[
        {
          label: "Spend",
          value: data.spend === null ? "–" : <Amount amount={data.spend} made={madeOf(data)} sign focusable />,
          now: data.spend,
          before: before?.spend,
          beforeText: before?.spend == null ? undefined : dollarText(before.spend),
        },
        {
          label: "Spend per user",
          value: mean === null ? "–" : <Amount amount={mean} sign focusable />,
          now: mean,
          before: earlierMean,
          beforeText: earlierMean == null ? undefined : dollarText(earlierMean),
          pending,
        },
        numbers("Users", data.users, count, before?.users),
        numbers("Traces", data.traces, count, before?.traces),
        numbers("Tokens", data.tokens, tokens, before?.tokens),
      ]}
    />
  );
}

function ByGroup({ by, keys, perUser, shows, onShow, onBy }: { by: string; perUser: string | null; keys: readonly string[]; shows: "chart" | "table"; onShow: (shows: "chart" | "table") => void; onBy: (by: string) => void }) {
  const [scope] = useScope();
  const now = useNow();
  const grouped = useAnswer<GroupsAnswer>("overview", asked(scope, [["group_by", by], ["limit", "50"]]));
  const hourly = "preset" in scope.window && scope.window.preset === "1d";
  const bucket = hourly ? "hour" : "day";
  const days = daysOf(scope.window, now, scope.tz);
  const fits = daysBetween(days.from, days.last) < MOST_DAYS_OF_PARTS;
  const buckets = useBuckets(bucket, asked(scope, [], { compare: false }));
  const named = useMemo(() => (fits && grouped.data ? topKeys(grouped.data) : []), [grouped.data, fits]);
  const colors = useMemo(() => colorsOf(by, named), [by, named]);
  // Only the values that are drawn: a filter of this field never lets in more than it had.
  const narrowed: Scope = { ...scope, filters: withFilter(scope.filters, { field: fieldOf(by), exclude: false, values: named }) };
  const parts = useAnswer<GroupsAnswer>("overview", asked(narrowed, [["group_by", `${bucket},${by}`], ["limit", "1000"]], { compare: false }), named.length > 0);
  const tabs = [...new Set([...(keys.includes("plan") ? ["tag.plan"] : []), "model", ...keys.filter((key) => key !== "plan").slice(0, 2).map((key) => `tag.${key}`), by])];
  return (
    <div className="wide-and-side">
      <section className="section">
        <header>
          <h2>{hourly ? "Spend an hour" : "Spend a day"}</h2>
          <Segments small label="Group by" value={by} options={tabs.map((value) => ({ value, label: fieldName(value) }))} onChoose={onBy}>
            <TagMenu plain keys={keys} chosen={by} onChoose={(key) => onBy(`tag.${key}`)} />
          </Segments>
          <div className="right">
            <ChartOrTable shows={shows} onChoose={onShow} />
          </div>
        </header>
        <Answered answer={buckets} what="This chart" skeleton={<div className="chart-room" />}>
          {(body) => {
            // Until the parts are there, a bar is its total: a part that is not known yet is no zero.
            const drawn = parts.data && !parts.isPlaceholderData ? named : [];
            const other = otherOf(grouped.data, drawn);
            // A single series needs no name, and is drawn as data.
            const series = drawn.length === 0 ? [{ name: "spend", color: "data" as const }] : seriesOf(drawn, colors, other);
            const bars = barsOf(body.data, parts.data?.data ?? [], drawn, other !== null, scope.tz, now, hourly);
            if (shows === "table") return <DayTable bars={bars} series={series} first={hourly ? "Hour" : "Day"} />;
            return <DayBars title={`Spend a ${bucket} by ${fieldName(by)}`} series={series} bars={bars} average={averageOf(grouped.data, hourly, scope)} />;
          }}
        </Answered>
      </section>
      <section className="section">
        <header>
          <h2>By {fieldName(by)}</h2>
        </header>
        <Answered answer={grouped} what="This table" skeleton={<div className="table-room" />}>
          {(body) => <Legend by={by} body={body} total={perUser} colors={new Map(named.map((key, index) => [key, colors[index] ?? 0]))} />}
        </Answered>
      </section>
    </div>
  );
}

/** The values that get a colour: the largest, in a fixed order that filters do not change. */
function topKeys(body: GroupsAnswer): string[] {
  return body.data
    .filter((row) => row.key !== null && spendNumber(row) > 0)
    .slice(0, MOST_SERIES)
    .map((row) => row.key!);
}

/** What the grey part is called; null where nothing is left for it. */
function otherOf(body: GroupsAnswer | undefined, named: readonly string[]): string | null {
  if (!body) return null;
  const others = body.data.filter((row) => row.key === null || !named.includes(row.key)).filter((row) => spendNumber(row) > 0);
  if (others.length === 0 && spendNumber(body.rest) === 0) return null;
  return others.length === 1 && others[0]!.key === null && spendNumber(body.rest) === 0 ? "(none)" : "other";
}

function averageOf(body: GroupsAnswer | undefined, hourly: boolean, scope: Scope): ReturnType<typeof averageBefore> {
  const span = body?.meta.previous;
  const monthly = "preset" in scope.window && (scope.window.preset === "mtd" || scope.window.preset === "last-month");
  return averageBefore(body?.totals.previous, span, hourly, monthly && span ? `in ${monthName(dayOf(new Date(span.from), scope.tz))}` : "before");
}

function fieldOf(by: string): string {
  return by === "user" ? "userId" : by;
}

const LEGEND_ROWS = 7;

/** The legend is a table with numbers, in stacking order. */
function Legend({ by, body, total, colors }: { by: string; body: GroupsAnswer; total: string | null; colors: ReadonlyMap<string, number> }) {
  const [scope] = useScope();
  const compared = scope.compare && body.meta.previous != null;
  const { totals } = body;
  const ordered = [...body.data.filter((row) => row.key !== null), ...body.data.filter((row) => row.key === null)];
  const nobody = ordered.filter((row) => row.key === null);
  const shown = ordered.length <= LEGEND_ROWS ? ordered : [...ordered.filter((row) => row.key !== null).slice(0, LEGEND_ROWS - 2), ...nobody];
  const hidden = body.data.filter((row) => !shown.includes(row));
  const meanOf = useMeans(by, shown);
  const hiddenSpend = knownSum([...hidden.map((row) => nanosOrNull(row.spend)), nanosOrNull(body.rest.spend)]);
  const hiddenEvents = hidden.length + (body.rest.events > 0 ? 1 : 0);
  const open = (row: Group): string | null => {
    if (!by.startsWith("tag.")) return null;
    const filter: Filter = { field: by, exclude: false, values: [row.key ?? ""] };
    return href(pathOf("users"), scopePairs({ ...scope, filters: withFilter(scope.filters, filter) }));
  };
  return (
    <table className="ledger legend">
      <caption className="hidden">Spend by {fieldName(by)}</caption>
      <thead>
        <tr>
          <th scope="col">{fieldName(by)}</th>
          <th scope="col" className="numeric">
            Spend, USD
          </th>
          {compared && (
            <th scope="col" className="numeric">
              Change
            </th>
          )}
          <th scope="col" className="numeric per-user">
            Per user
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((row) => {
          const color = row.key === null ? 0 : (colors.get(row.key) ?? 0);
          const to = open(row);
          const name = row.key ?? "(none)";
          return (
            <tr key={row.key ?? ""}>
              <td className="yields">
                <span className="legend-key">
                  <Swatch color={color} />
                  {to === null ? <span className={by === "model" ? "id clip" : "clip"}><Middle text={name} /></span> : <A to={to} className="clip" rowLink><Middle text={name} /></A>}
                </span>
              </td>
              <td className="numeric">
                <Amount amount={row.spend} made={madeOf(row)} />
              </td>
              {compared && (
                <td className="numeric">
                  <Change now={row.spend} before={row.previous ? row.previous.spend : null} money />
                </td>
              )}
              <td className="numeric mid per-user">
                <PerUser amount={meanOf(row.key)} />
              </td>
            </tr>
          );
        })}
      </tbody>
      <tfoot>
        {hiddenEvents > 0 && (
          <tr className="rest">
            <th scope="row">
              <span className="legend-key">
                <Swatch color={0} />
                other
              </span>
            </th>
            <td className="numeric">
              <Amount amount={hiddenSpend === null ? null : exact(hiddenSpend)} />
            </td>
            {compared && <td />}
            <td className="per-user" />
          </tr>
        )}
        <tr className="total">
          <th scope="row">Total</th>
          <td className="numeric">
            <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />
          </td>
          {compared && (
            <td className="numeric">
              <Change now={totals.spend} before={totals.previous ? totals.previous.spend : null} />
            </td>
          )}
          <td className="numeric per-user">{total == null ? null : <Amount amount={total} sign />}</td>
        </tr>
      </tfoot>
    </table>
  );
}

function PerUser({ amount }: { amount: string | null | undefined }) {
  if (amount === undefined) return null;
  return amount === null ? <NotApplicable /> : <Amount amount={amount} />;
}

const MODELS = 8;
/** More than an account calls in a window; where there are more, the link names no number. */
const MODELS_COUNTED = 200;

function called(body: GroupsAnswer): Group[] {
  return body.data.filter((row) => row.key !== null && row.calls > 0);
}

function allModels(body: GroupsAnswer | undefined): string {
  return body === undefined || body.next_cursor !== null ? "All models" : `All ${plural(called(body).length, "model")}`;
}

function ByModel() {
  const [scope] = useScope();
  const link = useLink();
  const answer = useAnswer<GroupsAnswer>("overview", asked(scope, [["group_by", "model"], ["limit", String(MODELS_COUNTED)]]));
  return (
    <section className="section">
      <header>
        <h2>By model</h2>
        <div className="right">
          <A className="more" to={link("models")}>
            {allModels(answer.data)}
          </A>
        </div>
      </header>
      <Answered answer={answer} what="This table" skeleton={<div className="table-room" />}>
        {(body) => {
          const rows = called(body).slice(0, MODELS);
          const largest = Math.max(0, ...rows.map(spendNumber));
          const compared = scope.compare && body.meta.previous != null;
          return (
            <table className="ledger legend bars">
              <caption className="hidden">Spend by model</caption>
              <thead className="hidden">
                <tr>
                  <th scope="col">Model</th>
                  <th scope="col">Bar</th>
                  <th scope="col">Share</th>
                  <th scope="col">Spend, USD</th>
                  {compared && <th scope="col">Change</th>}
                </tr>
              </thead>
              <tbody>
                {rows.map((row) => (
                  <tr key={row.key}>
                    <td className="id yields">
                      <Middle text={row.key!} />
                    </td>
                    <td className="bar-cell">
                      <svg className="bar" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">
                        {row.spend !== null && <rect className="bar-ground" width="100" height="5" />}
                        <rect width={largest > 0 ? (spendNumber(row) / largest) * 100 : 0} height="5" />
                      </svg>
                    </td>
                    <td className="numeric mid"><Share of={shareOf(row, body.totals)} /></td>
                    <td className="numeric">{row.spend === null ? <UnpricedMark events={row.unpriced_events} /> : <Amount amount={row.spend} made={madeOf(row)} />}</td>
                    {compared && (
                      <td className="numeric">
                        <Change now={row.spend ?? "0"} before={row.previous ? (row.previous.spend ?? "0") : null} money />
                      </td>
                    )}
                  </tr>
                ))}
              </tbody>
            </table>
          );
        }}
      </Answered>
    </section>
  );
}
