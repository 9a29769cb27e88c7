import { dollars, nanos } from "../format/decimal";
import { path } from "./scale";

const WIDTH = 88;
const HEIGHT = 20;

/** A row's days, each row on its own scale: the shape, not the amount. */
export function Spark({ days }: { days: readonly string[] | null | undefined }) {
  if (!days || days.length === 0) return null;
  const points = sparkPoints(days.map((amount) => dollars(nanos(amount))));
  const [x, y] = points.at(-1)!;
  return (
    <svg className="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label="daily spend">
      <path className="spark-base" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      <path d={path(points)} />
      <circle cx={x} cy={y} r="1.8" />
    </svg>
  );
}

export function sparkPoints(values: readonly number[]): [number, number][] {
  const largest = Math.max(...values);
  const step = values.length > 1 ? (WIDTH - 4) / (values.length - 1) : 0;
  return values.map((value, index) => [1 + index * step, largest > 0 ? 18 - (value / largest) * 16 : 18]);
}
