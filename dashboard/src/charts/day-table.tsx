import { type Nanos, knownSum } from "../format/decimal";
import { dollarText } from "../format/money";
import { Name } from "../parts/bits";
import { type Bar, type Series, Swatch, partText } from "./day-bars";

/** The chart's numbers: the same data, in the same order, with totals both ways. */
export function DayTable({ bars, series, first }: { bars: readonly Bar[]; series: readonly Series[]; first: string }) {
  const columns = series.map((_, index) => knownSum(bars.map((bar) => partOf(bar, index))));
  const several = series.length > 1;
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls
    <div className="day-table" tabIndex={0} role="region" aria-label={`Spend by ${first.toLowerCase()}`}>
      <table className="ledger legend">
        <caption className="hidden">Spend by {first.toLowerCase()}, USD</caption>
        <thead>
          <tr>
            <th scope="col">{first}</th>
            {several &&
              series.map((one) => (
                <th key={`${one.color}${one.name}`} scope="col" className="numeric">
                  <span className="legend-key end">
                    <Swatch color={one.color} />
                    <Name text={one.name} />
                  </span>
                </th>
              ))}
            <th scope="col" className="numeric">
              Total, USD
            </th>
          </tr>
        </thead>
        <tbody>
          {bars.map((bar) => (
            <tr key={bar.words + bar.label}>
              <td>
                {bar.words}
                {bar.isToday && <span className="second-label"> so far</span>}
              </td>
              {several &&
                series.map((one, index) => (
                  <td key={`${one.color}${one.name}`} className="numeric mid">
                    {partText(partOf(bar, index))}
                  </td>
                ))}
              <td className="numeric strong">{partText(knownSum(bar.parts))}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr className="total">
            <th scope="row">Total</th>
            {several &&
              columns.map((value, index) => (
                <td key={`${series[index]!.color}${series[index]!.name}`} className="numeric">
                  {partText(value)}
                </td>
              ))}
            <td className="numeric">{partText(knownSum(columns), dollarText)}</td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

function partOf(bar: Bar, index: number): Nanos | null {
  const part = bar.parts[index];
  return part === undefined ? 0n : part;
}
