import { MOST_SERIES } from "./day-data";

const held = new Map<string, Map<string, number>>();

/** Colour follows the value, not its rank: `plan=pro` keeps its colour when others are filtered away. */
export function colorsOf(dimension: string, keys: readonly string[]): number[] {
  const known = held.get(dimension) ?? new Map<string, number>();
  held.set(dimension, known);
  return assign(known, keys);
}

/** What is known stays; what is new takes the first free colour; two that would share one are told apart. */
export function assign(known: Map<string, number>, keys: readonly string[]): number[] {
  const taken = new Set<number>();
  const found = keys.map((key) => {
    const color = known.get(key);
    if (color === undefined || taken.has(color)) return 0;
    taken.add(color);
    return color;
  });
  return found.map((color, index) => {
    if (color > 0) return color;
    for (let next = 1; next <= MOST_SERIES; next += 1) {
      if (taken.has(next)) continue;
      taken.add(next);
      known.set(keys[index]!, next);
      return next;
    }
    return 0;
  });
}
