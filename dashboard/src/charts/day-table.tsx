import { type Nanos, exact } from "../format/decimal";
import { amountText, dollarText } from "../format/money";
import { Name } from "../parts/bits";
import { type Bar, type Series, Swatch } from "./day-bars";

/** The chart's numbers: the same data, in the same order, with totals both ways. */
export function DayTable({ bars, series, first }: { bars: readonly Bar[]; series: readonly Series[]; first: string }) {
  const total = (parts: readonly Nanos[]): Nanos => parts.reduce((sum, part) => sum + part, 0n);
  const columns = series.map((_, index) => total(bars.map((bar) => bar.parts[index] ?? 0n)));
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
                    {amountText(exact(bar.parts[index] ?? 0n))}
                  </td>
                ))}
              <td className="numeric strong">{amountText(exact(total(bar.parts)))}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr className="total">
            <th scope="row">Total</th>
            {several &&
              columns.map((value, index) => (
                <td key={`${series[index]!.color}${series[index]!.name}`} className="numeric">
                  {amountText(exact(value))}
                </td>
              ))}
            <td className="numeric">{dollarText(exact(total(columns)))}</td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}
