/** Counts are exact, always: 61,482. */
export function count(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Tokens are exact below 10,000, then three figures: 9,480; 56.2K; 3.41B. */
export function tokens(value: number): string {
  if (value < 10_000) return count(value);
  const units = ["K", "M", "B", "T"];
  let scaled = value / 1000;
  let unit = 0;
  // 999,600 is 1.00M, not 1000K.
  while (Number(scaled.toPrecision(3)) >= 1000 && unit < units.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return figures(scaled) + units[unit]!;
}

function figures(value: number): string {
  const rounded = Number(value.toPrecision(3));
  return rounded.toFixed(rounded >= 100 ? 0 : rounded >= 10 ? 1 : 2);
}

/** 0 to 1 as one decimal: 8.7%. What is there is never 0%. */
export function share(value: number): string {
  if (value <= 0) return "0%";
  if (value < 0.001) return "<0.1%";
  if (value > 0.9995) return "100%";
  return `${(value * 100).toFixed(1)}%`;
}

/** 620 ms, 5.2 s, 1 m 34 s, 2 h 5 m. */
export function duration(milliseconds: number): string {
  if (milliseconds < 999.5) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} m`;
}

/** "1 call", "1,204 calls". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
