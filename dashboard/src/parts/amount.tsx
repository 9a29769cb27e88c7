import type { ReactNode } from "react";
import type { Measures, PriceStatus } from "../api/types";
import { count, plural } from "../format/count";
import { type MoneyStyle, amountText, exactText, money, perMillion } from "../format/money";
import { nanos } from "../format/decimal";
import { usePrices } from "../state/prices";
import { Wave } from "./icon";
import { TipLine, useTip } from "./tip";

/** What an amount is made of, as far as the row knows. */
export interface Made {
  readonly calls?: number;
  readonly unpriced?: number;
  readonly estimated?: number;
  readonly tokens?: number;
  readonly status?: PriceStatus;
}

export function madeOf(row: Pick<Measures, "calls" | "unpriced_events" | "estimated_events" | "tokens">): Made {
  return { calls: row.calls, unpriced: row.unpriced_events, estimated: row.estimated_events, tokens: row.tokens };
}

/**
 * The eight kinds of money: priced, with an estimate in it, a lower bound (its mark stands beside, see `UnpricedMark`), free,
 * without a price, measured nothing, not applicable, and blank. The tooltip holds every digit.
 */
export function Amount({
  amount,
  made = {},
  style = "table",
  sign = false,
  focusable = false,
}: {
  amount: string | null;
  made?: Made;
  style?: MoneyStyle;
  sign?: boolean;
  /** Where no row link takes the focus: key figures and totals. */
  focusable?: boolean;
}) {
  const tip = useTip(() => (amount === null ? null : <ExactTip amount={amount} made={made} style={style} />));
  if (amount === null) return <Mark kind="unpriced">no price</Mark>;
  if (isFree(amount, made)) return <Mark kind="free">free</Mark>;
  const { head, tail } = money(amount, style);
  return (
     
    <span ref={tip} data-tip className="amount" {...(focusable ? { tabIndex: 0 } : {})}>
      {(made.estimated ?? 0) > 0 || made.status === "estimated" ? <Wave /> : null}
      {sign ? `$${head}` : head}
      <span className="tail">{tail}</span>
    </span>
  );
}

/** The price is known and it is zero: tokens were counted, nothing is unpriced. */
function isFree(amount: string, made: Made): boolean {
  if (nanos(amount) !== 0n) return false;
  if (made.status) return made.status === "free";
  return (made.tokens ?? 0) > 0 && made.unpriced === 0;
}

function ExactTip({ amount, made, style }: { amount: string; made: Made; style: MoneyStyle }) {
  const prices = usePrices();
  const { calls, unpriced = 0, estimated = 0 } = made;
  return (
    <>
      <h3>{amountText(amount, style)} USD</h3>
      <TipLine name="Exactly">
        <span className="mono">{exactText(amount)}</span>
      </TipLine>
      {calls !== undefined && <TipLine name="Calls">{count(calls)}</TipLine>}
      {estimated > 0 && (
        <TipLine mark={<Wave />} name="Estimated">
          {plural(estimated, "call")}
        </TipLine>
      )}
      {calls !== undefined && <TipLine name="No price yet">{unpriced > 0 ? plural(unpriced, "call") : "none"}</TipLine>}
      {made.status && <TipLine name="Price">{made.status}</TipLine>}
      {prices && (
        <div className="tip-line tip-sum">
          Prices of<b>{prices}</b>
        </div>
      )}
    </>
  );
}

export function Mark({ kind, children }: { kind: "unpriced" | "free" | "error" | "plain"; children: ReactNode }) {
  return <span className={`mark ${kind}`}>{children}</span>;
}

/** Beside a sum that is a lower bound. */
export function UnpricedMark({ events }: { events: number }) {
  return events > 0 ? <Mark kind="unpriced">{count(events)} unpriced</Mark> : null;
}

export function NotApplicable() {
  return (
    <span className="dim">
      <span aria-hidden="true">–</span>
      <span className="hidden">not applicable</span>
    </span>
  );
}

/** USD per million tokens of a row. */
export function Rate({ row }: { row: Pick<Measures, "spend" | "tokens"> }) {
  const amount = row.spend === null ? null : perMillion(row.spend, row.tokens);
  return amount === null ? <NotApplicable /> : <>{amountText(amount)}</>;
}
