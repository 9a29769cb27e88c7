import { asked, useBuckets } from "../api/answers";
import type { Group, OverviewAnswer } from "../api/types";
import { partText } from "../charts/day-bars";
import { Running } from "../charts/running";
import { type Nanos, dollars, knownSum, nanos, nanosOrNull } from "../format/decimal";
import { roundText } from "../format/money";
import { addDays, dayInWords, dayOf, daysBetween, monthName, shortDay } from "../format/time";
import { Answered } from "../parts/card";
import { ChartOrTable } from "../parts/controls";
import { useScope } from "../state/address";
import { useNow } from "../state/now";
import { type Pairs, questionPairs } from "../state/scope";
import { daysOf } from "../state/windows";

/** How spend adds up, against the period before; a month goes on to its end. */
export function RunningTotal({ overview, shows, onShow }: { overview: OverviewAnswer | undefined; shows: "chart" | "table"; onShow: (shows: "chart" | "table") => void }) {
  const [scope] = useScope();
  const now = useNow();
  const days = daysOf(scope.window, now, scope.tz);
  const month = "preset" in scope.window && scope.window.preset === "mtd";
  const answer = useBuckets("day", asked(scope, [], { compare: false }));
  const span = overview?.meta.previous;
  // The month before is drawn to its end, although it is compared up to the same hour.
  const earlier: Pairs = month
    ? [["window", "last-month"]]
    : span ? [["from", span.from], ["to", span.to]] : []; // prettier-ignore
  const others = questionPairs({ ...scope, window: { preset: "28d" } }).filter(([name]) => name !== "window");
  const before = useBuckets("day", [...earlier, ...others], scope.compare && earlier.length > 0);

  const monthBefore = monthName(addDays(`${days.from.slice(0, 8)}01`, -1));
  const title = month ? (scope.compare ? `${monthName(days.from)} against ${monthBefore}` : `${monthName(days.from)} so far`) : scope.compare ? "Running total, against the time before" : "Running total";
  return (
    <section className="section">
      <header>
        <h2>{title}</h2>
        <div className="right">
          <ChartOrTable shows={shows} onChoose={onShow} />
        </div>
      </header>
      <Answered answer={answer} what="This chart" skeleton={<div className="chart-room low" />}>
        {(body) => {
          const current = cumulative(body.data);
          const past = scope.compare && before.data && !before.isPlaceholderData ? cumulative(before.data.data) : null;
          const length = month ? daysOfMonth(days.from) : Math.max(current.length, past?.length ?? 0);
          const forecast = month ? overview?.data.forecast : null;
          const nowText = `${lastText(current)}${month ? " so far" : ""}`;
          if (shows === "table") return <RunningTable rows={body.data} current={current} past={past} tz={scope.tz} />;
          return (
            <Running
              title={title}
              now={lengths(current)}
              before={past && lengths(past)}
              days={Math.max(length, month ? (past?.length ?? 0) : 0)}
              labels={Array.from({ length }, (_, day) => (month ? String(day + 1) : shortDay(addDays(dayOf(new Date(body.data[0]?.key ?? now), scope.tz), day))))}
              nowText={nowText}
              beforeText={past ? `${lastText(past)} ${month ? monthBefore : "before"}` : null}
              forecast={forecast == null ? undefined : { value: Number(forecast), text: `${roundText(nanos(forecast))} forecast` }}
            />
          );
        }}
      </Answered>
    </section>
  );
}

/** null as long as nothing has a price that something should have. */
function cumulative(rows: readonly Group[]): (Nanos | null)[] {
  let total: Nanos | null = 0n;
  return rows.map((row) => (total = knownSum([total, nanosOrNull(row.spend)])));
}

function lastText(totals: readonly (Nanos | null)[]): string {
  const last = totals.at(-1);
  return last === null ? "no price" : roundText(last ?? 0n);
}

function lengths(totals: readonly (Nanos | null)[]): number[] {
  return totals.map((total) => dollars(total ?? 0n));
}

function daysOfMonth(first: string): number {
  return daysBetween(first, `${addDays(first, 31).slice(0, 8)}01`);
}

function RunningTable({ rows, current, past, tz }: { rows: readonly Group[]; current: readonly (Nanos | null)[]; past: readonly (Nanos | null)[] | null; tz: string }) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls
    <div className="day-table" tabIndex={0} role="region" aria-label="Running total">
      <table className="ledger legend">
        <caption className="hidden">Running total by day, USD</caption>
        <thead>
          <tr>
            <th scope="col">Day</th>
            <th scope="col" className="numeric">
              Spend, USD
            </th>
            <th scope="col" className="numeric">
              Running total
            </th>
            {past && (
              <th scope="col" className="numeric">
                Before
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={row.key}>
              <td>{dayInWords(dayOf(new Date(row.key!), tz))}</td>
              <td className="numeric mid">{partText(nanosOrNull(row.spend))}</td>
              <td className="numeric strong">{partText(current[index])}</td>
              {past && <td className="numeric mid">{past[index] === undefined ? "" : partText(past[index])}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
