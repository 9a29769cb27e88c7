const STEPS = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8];

export interface Scale {
  /** Three lines, zero not among them. */
  readonly ticks: readonly number[];
  readonly step: number;
  /** The value at the top. */
  readonly top: number;
}

/** Three grid lines at round amounts; the tallest value may stand above the last of them. */
export function scale(largest: number): Scale {
  if (!(largest > 0)) return { ticks: [], step: 1, top: 1 };
  const third = largest / 3;
  const power = 10 ** Math.floor(Math.log10(third));
  // The slack is for thirds that floating point puts a hair under a round step.
  const step = power * STEPS.findLast((candidate) => candidate * power <= third * (1 + 1e-9))!;
  const ticks = [1, 2, 3].map((times) => Number((times * step).toPrecision(12)));
  return { ticks, step, top: Math.max(largest, ticks[2]!) };
}

/** What a digit of the axis takes, and the air around its labels. */
const DIGIT = 6.8;
const AIR = 14;

/** The room that an axis needs for its longest label, and no less than `least`. */
export function axisRoom(labels: readonly string[], least: number): number {
  return Math.max(least, Math.ceil(Math.max(0, ...labels.map((label) => label.length)) * DIGIT) + AIR);
}

/** Which of so many labels are drawn, so that at most `most` are, evenly, the last one always apart. */
export function labelled(count: number, most: number): number[] {
  const every = Math.max(1, Math.ceil(count / most));
  const found: number[] = [];
  for (let at = 0; at < count; at += every) found.push(at);
  return found;
}

/** A polyline's path through points. */
export function path(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}
