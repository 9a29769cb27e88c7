import type { Group } from "../api/types";
import { dollars, nanosOrNull, sum } from "../format/decimal";
import { dollarText, roundText } from "../format/money";
import { dayInWords, dayOf, shortDay } from "../format/time";
import { partText } from "./day-bars";
import { Middle } from "../parts/bits";
import { useScope } from "../state/address";
import { useNow } from "../state/now";
import { useWidth } from "./width";

const HEIGHT = 44;

/** One value's days on a scale of its own. */
export function MiniBars({ name, days }: { name: string; days: readonly Group[] }) {
  const [ref, width] = useWidth<HTMLElement>();
  const [{ tz }] = useScope();
  const now = useNow();
  const amounts = days.map((day) => sum([day.spend]));
  const peak = amounts.reduce((most, amount) => (amount > most ? amount : most), 0n);
  const today = dayOf(now, tz);
  const slot = width / Math.max(1, days.length);
  const [first, last] = [days[0]?.key, days.at(-1)?.key];
  const isToday = last != null && dayOf(new Date(last), tz) === today;
  return (
    <figure className="mini" ref={ref}>
      <figcaption>
        <span className="id clip"><Middle text={name} /></span>
        <span className="dim">peak {roundText(peak)} a day</span>
      </figcaption>
      <svg className="chart" width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`${name}: spend a day`}>
        {amounts.map((amount, index) => {
          const height = peak > 0n ? Math.max(amount > 0n ? 1 : 0, (dollars(amount) / dollars(peak)) * (HEIGHT - 2)) : 0;
          return (
            <rect
              key={days[index]!.key}
              className={isToday && index === days.length - 1 ? "fill-data running" : "fill-data"}
              x={index * slot}
              width={Math.max(1, slot - Math.max(1, slot * 0.24))}
              y={HEIGHT - 1 - height}
              height={height}
            >
              <title>{`${dayInWords(dayOf(new Date(days[index]!.key!), tz))}: ${partText(nanosOrNull(days[index]!.spend), dollarText)}`}</title>
            </rect>
          );
        })}
        <path className="zero" d={`M0 ${HEIGHT - 0.5}H${width}`} />
      </svg>
      <div className="mini-axis">
        <span>{first == null ? "" : shortDay(dayOf(new Date(first), tz))}</span>
        <span>{last == null ? "" : isToday ? "today" : shortDay(dayOf(new Date(last), tz))}</span>
      </div>
    </figure>
  );
}
