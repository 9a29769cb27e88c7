import { heads } from "../charts/heads";

const WIDTH = 545;
const HEIGHT = 590;
const ROWS = 10;
const BAR = 25;

/** The same spend over more and more heads: one, two, three, … a long tail. */
export function SignInArt() {
  return (
    <svg className="art" viewBox={`0 0 ${WIDTH} ${HEIGHT}`}>
      {Array.from({ length: ROWS }, (_, row) => {
        const count = Math.round(1.6 ** row);
        const shares = Array.from({ length: count }, (_, rank) => 1 / (rank + 1.2) ** (0.75 + row * 0.012));
        const { segments } = heads(shares, 0, 0, WIDTH);
        return segments.map((segment, index) => (
          <rect key={`${row}.${index}`} x={segment.x} y={(row * (HEIGHT - BAR)) / (ROWS - 1)} width={segment.width} height={BAR} rx="1" opacity={count === 1 ? 1 : Math.max(0.14, 1 - (index / count) * 0.95)} />
        ));
      })}
    </svg>
  );
}
