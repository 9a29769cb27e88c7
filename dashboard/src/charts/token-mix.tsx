import type { TokensByClass } from "../api/types";
import { tokens } from "../format/count";

const WIDTH = 84;
const CLASSES = [
  ["input_uncached", "input, not cached"],
  ["input_cache_read", "cache reads"],
  ["input_cache_write", "cache writes"],
  ["output", "output"],
] as const;

/** What a model's tokens are, as parts of one line. */
export function TokenMix({ classes }: { classes: TokensByClass }) {
  const total = CLASSES.reduce((sum, [name]) => sum + classes[name], 0);
  if (total === 0) return null;
  const widths = CLASSES.map(([name]) => (classes[name] / total) * WIDTH);
  return (
    <svg className="mix" viewBox={`0 0 ${WIDTH} 6`} role="img" aria-label={CLASSES.map(([name, words]) => `${words} ${tokens(classes[name])}`).join(", ")}>
      {CLASSES.map(([name], index) => {
        const width = widths[index]!;
        const from = widths.slice(0, index).reduce((sum, one) => sum + one, 0);
        return width > 0 ? <rect key={name} className={`fill-${index + 1}`} x={from} width={Math.max(0.5, width - 1)} height="6" /> : null;
      })}
    </svg>
  );
}
