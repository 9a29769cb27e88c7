/** A server takes lines of some 8,000 characters: so much of one may be values. */
const MOST_CHARACTERS = 4_000;
/** The name of the filter, with `=` and `&`. */
const TAKES_BESIDE = 72;

/** Values by what fits one question. */
export function portions(values: readonly string[]): string[][] {
  const found: string[][] = [];
  let left = 0;
  for (const value of values) {
    const takes = encodeURIComponent(value).length + TAKES_BESIDE;
    if (takes > left) {
      found.push([]);
      left = MOST_CHARACTERS;
    }
    found.at(-1)!.push(value);
    left -= takes;
  }
  return found;
}
