import { type ReactNode } from "react";
import { A, Share } from "./bits";
import { Icon } from "./icon";
import { Popover } from "./popover";

export interface PhoneRow {
  readonly key: string;
  readonly href: string;
  readonly name: string;
  readonly amount: ReactNode;
  readonly share: number | null;
  readonly part: number;
  readonly note: ReactNode;
  readonly change: ReactNode;
}

const SORTS = [
  ["spend", "Spend, USD"],
  ["traces", "Traces"],
  ["tokens", "Tokens"],
  ["last_seen", "Last seen"],
  ["user_id", "User"],
] as const;

/** Two lines a row: id and amount; share, mark or last seen, change. The total sticks above the tab bar. */
export function PhoneList({
  rows,
  largest,
  count,
  rest,
  unattributed,
  total,
  sort,
  onSort,
}: {
  rows: readonly PhoneRow[];
  largest: number;
  count: string;
  rest: { name: string; amount: ReactNode } | null;
  unattributed: ReactNode;
  total: ReactNode;
  sort?: string;
  onSort?: (column: string) => void;
}) {
  const name = SORTS.find(([column]) => column === sort?.replace(/^-/, ""))?.[1] ?? "Spend, USD";
  return (
    <div className="phone-list">
      <div className="list-head">
        <span>{count}</span>
        {onSort ? (
          <Popover
            label="Sort by"
            align="end"
            buttonClass="list-sort"
            button={
              <>
                <Icon name="down" small />
                {name}
              </>
            }
          >
            {(close) => (
              <ul className="options">
                {SORTS.map(([column, title]) => (
                  <li key={column}>
                    <button
                      type="button"
                      onClick={() => {
                        close();
                        onSort(column);
                      }}
                    >
                      {title}
                    </button>
                  </li>
                ))}
              </ul>
            )}
          </Popover>
        ) : (
          <span>{name}</span>
        )}
      </div>
      <ul>
        {rows.map((row) => (
          <li key={row.key}>
            <A to={row.href} className="list-row" rowLink>
              <span className="id">{row.name}</span>
              {row.amount}
              <span className="list-second">
                <svg className="bar" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true">
                  <rect className="bar-ground" width="100" height="5" />
                  <rect width={largest > 0 ? (row.part / largest) * 100 : 0} height="5" />
                </svg>
                <Share of={row.share} />
                {row.note}
              </span>
              {row.change}
            </A>
          </li>
        ))}
      </ul>
      {rest && (
        <div className="list-row foot">
          <span>{rest.name}</span>
          {rest.amount}
        </div>
      )}
      {unattributed && (
        <div className="list-row foot">
          <span>(unattributed)</span>
          {unattributed}
        </div>
      )}
      <div className="list-row list-total">
        <span>Total</span>
        {total}
      </div>
    </div>
  );
}

const ROW = 62;

/** The first load of a list of two lines a row. */
export function PhoneListSkeleton({ rows }: { rows: number }) {
  return (
    <div className="phone-list" aria-busy="true">
      {Array.from({ length: rows }, (_, row) => (
        <svg key={row} className="skeleton list-blank" width="100%" height={ROW} aria-hidden="true">
          <rect x="16" y="16" width="40%" height="11" rx="3" />
          <rect x="16" y="37" width="28%" height="9" rx="3" />
          <rect x="80%" y="16" width="14%" height="11" rx="3" />
        </svg>
      ))}
    </div>
  );
}
