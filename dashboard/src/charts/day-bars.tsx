import { type KeyboardEvent, type PointerEvent, useState } from "react";
import { type Nanos, dollars, exact, knownSum } from "../format/decimal";
import { amountText, axisText, dollarText } from "../format/money";
import { axisRoom, labelled, scale } from "./scale";
import { useWidth } from "./width";

export interface Series {
  readonly name: string;
  /** 1 to 5 in the order of the palette; 0 is grey: other, none; `data` where there is one series. */
  readonly color: number | "data";
}

export interface Bar {
  /** On the axis: 9 Nov. */
  readonly label: string;
  /** In the tooltip and the table: Thursday 12 November. */
  readonly words: string;
  /** null: not known, nothing of it has a price. */
  readonly parts: readonly (Nanos | null)[];
  /** The running day, still filling. */
  readonly isToday: boolean;
}

const HEIGHT = 250;
const TOP = 16;
const BOTTOM = 22;
const LEFT = 38;
const LABEL_HEIGHT = 14;
/** Nearer to "today" than this a day's label would touch it. */
const LABEL_ROOM = 58;

/** Spend a day, stacked. Pointer and left/right snap to the day; direct labels stand at the right edge. */
export function DayBars({
  title,
  series,
  bars,
  average,
  height = HEIGHT,
}: {
  title: string;
  series: readonly Series[];
  bars: readonly Bar[];
  /** The previous period's mean, a dashed line, labelled. */
  average?: { readonly value: number; readonly text: string; readonly note: string } | undefined;
  height?: number;
}) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const [at, setAt] = useState<number | null>(null);
  const phone = width < 480;
  const right = phone ? 4 : 78;
  const totals = bars.map((bar) => dollars(total(bar) ?? 0n));
  const { ticks, step, top } = scale(Math.max(average?.value ?? 0, ...totals));
  const left = axisRoom(ticks.map((tick) => `$${axisText(tick, step)}`), LEFT);
  const plot = { left, right: width - right, top: TOP, bottom: height - BOTTOM };
  const y = (value: number): number => plot.bottom - (value / top) * (plot.bottom - plot.top);
  const slot = Math.max(1, (plot.right - plot.left) / Math.max(1, bars.length));
  const barWidth = Math.max(1, Math.min(slot * 0.68, 36));
  const x = (index: number): number => plot.left + index * slot + (slot - barWidth) / 2;
  const named = labelled(bars.length, Math.min(8, Math.floor((plot.right - plot.left) / 56)));
  const last = bars.length - 1;

  const snap = (event: PointerEvent<SVGSVGElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const index = Math.floor((event.clientX - box.left - plot.left) / slot);
    setAt(index >= 0 && index < bars.length ? index : null);
  };
  const move = (event: KeyboardEvent): void => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (event.key === "Escape" && at !== null) setAt(null);
    else if (by !== 0) setAt(Math.max(0, Math.min(last, (at ?? (by > 0 ? -1 : bars.length)) + by)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="plot" ref={ref}>
      {width > 0 && (
         
        <svg
          className="chart"
          width={width}
          height={height}
          viewBox={`0 0 ${width} ${height}`}
          role="img"
          aria-label={`${title}. Left and right move through the days; the table has the same numbers.`}
           
          tabIndex={0}
          onPointerMove={snap}
          onPointerLeave={() => setAt(null)}
          onKeyDown={move}
          onBlur={() => setAt(null)}
        >
          {ticks.map((tick, index) => (
            <g key={tick}>
              <path className="grid" d={`M${plot.left} ${y(tick)}H${plot.right}`} />
              <text x={plot.left - 8} y={y(tick) + 4} textAnchor="end">
                {index === ticks.length - 1 ? "$" : ""}
                {axisText(tick, step)}
              </text>
            </g>
          ))}
          {at !== null && <rect className="band" x={plot.left + at * slot} y={plot.top} width={slot} height={plot.bottom - plot.top} rx="3" />}
          {bars.map((bar, index) => (
            <g key={bar.words} className={bar.isToday ? "running" : undefined}>
              {stack(bar, series, (value) => (value / top) * (plot.bottom - plot.top)).map((part) => (
                <rect key={`${part.color}${part.name}`} className={`fill-${part.color}`} x={x(index)} width={barWidth} y={plot.bottom - part.from - part.size} height={part.size} rx={part.size > 2 ? 1 : 0} />
              ))}
            </g>
          ))}
          <path className="zero" d={`M${plot.left} ${plot.bottom}H${plot.right}`} />
          <text x={plot.left - 8} y={plot.bottom + 4} textAnchor="end">
            0
          </text>
          {named.map((index) =>
            bars[last]?.isToday && (last - index) * slot < LABEL_ROOM ? null : (
              <text key={index} x={x(index) + barWidth / 2} y={height - 5} textAnchor="middle">
                {bars[index]!.label}
              </text>
            ),
          )}
          {bars[last]?.isToday && (
            <text className="strong" x={x(last) + barWidth / 2} y={height - 5} textAnchor={phone ? "end" : "middle"} dx={phone ? barWidth / 2 : 0}>
              today
            </text>
          )}
          {average && average.value > 0 && <path className="average" d={`M${plot.left} ${y(average.value)}H${plot.right + (phone ? 0 : 4)}`} />}
          {!phone && <EdgeLabels bars={bars} series={series} average={average} x={plot.right + 8} y={y} top={top} height={plot.bottom - plot.top} bottom={plot.bottom} />}
        </svg>
      )}
      {at !== null && bars[at] && <BarTip bar={bars[at]} series={series} left={plot.left + (at + 0.5) * slot} width={width} />}
    </div>
  );
}

function BarTip({ bar, series, left, width }: { bar: Bar; series: readonly Series[]; left: number; width: number }) {
  const right = left > width / 2;
  return (
    <div className="tip" role="status" style={right ? { right: `${width - left + 24}px` } : { left: `${left + 24}px` }}>
      <h3>{bar.words}</h3>
      {series.length > 1 &&
        series.map((one, index) => (
          <div className="tip-line" key={`${one.color}${one.name}`}>
            <Swatch color={one.color} />
            <span className="tip-name">{one.name}</span>
            <b>{partText(bar.parts[index])}</b>
          </div>
        ))}
      <div className={series.length > 1 ? "tip-line tip-sum" : "tip-line"}>
        Total<b>{partText(total(bar), dollarText)}</b>
      </div>
    </div>
  );
}

/** Names beside the last bar's parts, and the average's; what would overlap moves up. */
function EdgeLabels({
  bars,
  series,
  average,
  x,
  y,
  top,
  height,
  bottom,
}: {
  bars: readonly Bar[];
  series: readonly Series[];
  average: { value: number; text: string; note: string } | undefined;
  x: number;
  y: (value: number) => number;
  top: number;
  height: number;
  bottom: number;
}) {
  const bar = bars.at(-1);
  if (!bar) return null;
  const parts = stack(bar, series, (value) => (value / top) * height);
  const wanted = [
    ...(series.length > 1 ? parts.filter((part) => part.size >= 9).map((part) => ({ y: bottom - part.from - part.size / 2 + 4, name: part.name })) : []),
    ...(average && average.value > 0 ? [{ y: y(average.value) - 4, name: null }] : []),
  ].sort((a, b) => b.y - a.y);
  let floor = Infinity;
  return wanted.map((label) => {
    const space = label.name === null ? LABEL_HEIGHT * 2 : LABEL_HEIGHT;
    // The average's second line hangs below its first.
    const at = label.name === null ? Math.min(label.y, floor - space) : Math.min(label.y, floor - LABEL_HEIGHT);
    floor = at;
    if (label.name !== null) {
      return (
        <text key={label.name} x={x} y={at}>
          {label.name.length > 11 ? `${label.name.slice(0, 10)}…` : label.name}
        </text>
      );
    }
    return (
      <g key="average">
        <text className="strong" x={x} y={at}>
          {average!.text}
        </text>
        <text x={x} y={at + 12}>
          {average!.note}
        </text>
      </g>
    );
  });
}

export function Swatch({ color }: { color: number | "data" }) {
  return (
    <svg className="swatch" viewBox="0 0 9 9" aria-hidden="true">
      <rect width="9" height="9" rx="2" className={`fill-${color}`} />
    </svg>
  );
}

function total(bar: Bar): Nanos | null {
  return knownSum(bar.parts);
}

/** An amount of a chart in words; what is not known is no 0.00. */
export function partText(part: Nanos | null | undefined, text: (amount: string) => string = amountText): string {
  return part === null ? "no price" : text(exact(part ?? 0n));
}

const PART_GAP = 1;

interface Part {
  readonly name: string;
  readonly color: number | "data";
  readonly from: number;
  readonly size: number;
}

/** Parts from the ground up, a pixel apart; what is there is never thinner than a hair. */
export function stack(bar: Bar, series: readonly Series[], pixels: (value: number) => number): Part[] {
  let from = 0;
  const found: Part[] = [];
  for (const [index, one] of series.entries()) {
    const value = bar.parts[index] ?? 0n;
    if (value <= 0n) continue;
    const whole = pixels(dollars(value));
    const size = Math.max(0.75, whole - (found.length > 0 ? PART_GAP : 0));
    found.push({ name: one.name, color: one.color, from: from + (found.length > 0 ? PART_GAP : 0), size });
    from += whole;
  }
  return found;
}
