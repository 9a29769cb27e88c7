import { axisText } from "../format/money";
import { axisRoom, labelled, path, scale } from "./scale";
import { useWidth } from "./width";

const HEIGHT = 208;
const TOP = 18;
const BOTTOM = 22;
const LEFT = 44;

/** Cumulative spend against the period before: the one place for lines. Values are dollars at the end of each day. */
export function Running({
  title,
  now,
  before,
  days,
  labels,
  nowText,
  beforeText,
  forecast,
}: {
  title: string;
  now: readonly number[];
  before: readonly number[] | null;
  /** How many days the axis has; the period before may be longer than what has passed of this one. */
  days: number;
  labels: readonly string[];
  nowText: string;
  beforeText: string | null;
  forecast?: { readonly value: number; readonly text: string } | undefined;
}) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const right = width < 480 ? 12 : 112;
  const { ticks, step, top } = scale(Math.max(now.at(-1) ?? 0, before?.at(-1) ?? 0, forecast?.value ?? 0));
  const left = axisRoom(ticks.map((tick) => `$${axisText(tick, step)}`), LEFT);
  const plot = { left, right: width - right, top: TOP, bottom: HEIGHT - BOTTOM };
  const x = (day: number): number => plot.left + (day / Math.max(1, days)) * (plot.right - plot.left);
  const y = (value: number): number => plot.bottom - (value / top) * (plot.bottom - plot.top);
  // A day's spend is there at its end, so the line starts from nothing.
  const line = (values: readonly number[]): [number, number][] => [[x(0), y(0)], ...values.map((value, day): [number, number] => [x(day + 1), y(value)])];
  const head = line(now).at(-1)!;
  const beforeEnd = before && line(before).at(-1);
  const forecastAt = forecast ? y(forecast.value) : null;
  const beforeAt = beforeEnd ? beforeEnd[1] : null;
  const apart = forecastAt !== null && beforeAt !== null && Math.abs(forecastAt - beforeAt) < 16 ? 16 - Math.abs(forecastAt - beforeAt) : 0;
  return (
    <div className="plot" ref={ref}>
      {width > 0 && (
        <svg className="chart" width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${title}. The table has the same numbers.`}>
          {ticks.map((tick) => (
            <g key={tick}>
              <path className="grid" d={`M${plot.left} ${y(tick)}H${plot.right}`} />
              <text x={plot.left - 8} y={y(tick) + 4} textAnchor="end">
                {tick === ticks.at(-1) ? "$" : ""}
                {axisText(tick, step)}
              </text>
            </g>
          ))}
          <path className="zero" d={`M${plot.left} ${plot.bottom}H${plot.right}`} />
          <text x={plot.left - 8} y={plot.bottom + 4} textAnchor="end">
            0
          </text>
          {labelled(labels.length, Math.min(6, Math.floor((plot.right - plot.left) / 56))).map((day) => (
            <text key={day} x={x(day + 0.5)} y={HEIGHT - 5} textAnchor="middle">
              {labels[day]}
            </text>
          ))}
          {before && <path className="before" d={path(line(before))} />}
          <path className="now" d={path(line(now))} />
          {forecast && <path className="forecast" d={path([head, [x(days), y(forecast.value)]])} />}
          <circle className="accent" cx={head[0]} cy={head[1]} r="3.5" />
          {width >= 480 && (
            <>
              <text className="strong" x={head[0] - 8} y={head[1] - 8} textAnchor={head[0] > plot.left + 90 ? "end" : "start"}>
                {nowText}
              </text>
              {forecast && (
                <text className="strong" x={plot.right + 8} y={forecastAt! + 4 - (forecastAt! <= beforeAt! ? apart : 0)}>
                  {forecast.text}
                </text>
              )}
              {beforeText !== null && beforeEnd && (
                <text x={plot.right + 8} y={beforeEnd[1] + 4 + (forecastAt !== null && forecastAt <= beforeEnd[1] ? apart : 0)}>
                  {beforeText}
                </text>
              )}
            </>
          )}
        </svg>
      )}
      {width > 0 && width < 480 && (
        <p className="plot-note">
          {nowText}
          {forecast ? `, ${forecast.text}` : ""}
          {beforeText === null ? "" : `, ${beforeText}`}
        </p>
      )}
    </div>
  );
}
