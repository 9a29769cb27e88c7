import { delta, isBigMover } from "../format/delta";
import { NotApplicable } from "./amount";

/** How it changed. Spend that rises is neither good nor bad: no colour, and bold ink for big movers only. */
export function Change({
  now,
  before,
  money = false,
}: {
  now: string | number | null | undefined;
  /** undefined: not compared. */
  before: string | number | null | undefined;
  /** Spend in a table: a big mover is set in bold. */
  money?: boolean;
}) {
  if (before === undefined) return <NotApplicable />;
  const change = delta(now, before);
  if (change.kind === "none") return <NotApplicable />;
  if (change.kind === "new") return <span className="delta">new</span>;
  const big = money && typeof now === "string" && typeof before === "string" && isBigMover(now, before);
  return (
    <span className={big ? "delta big" : "delta"}>
      {change.kind !== "flat" && (
        <>
          <svg className="triangle" viewBox="0 0 7 6" aria-hidden="true">
            <path d={change.kind === "up" ? "M3.5 0 7 6H0z" : "M0 0h7L3.5 6z"} />
          </svg>
          <span className="hidden">{change.kind} </span>
        </>
      )}
      {change.text}
    </span>
  );
}
