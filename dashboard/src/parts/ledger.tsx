import { type HTMLAttributes, type MouseEvent, type ReactNode, type RefObject, useEffect, useLayoutEffect, useRef, useState } from "react";
import { go } from "../state/address";
import { Icon } from "./icon";

export interface Column<Row> {
  readonly id: string;
  readonly label: string;
  readonly numeric?: boolean;
  /** The API's column; its header sorts. */
  readonly sort?: string;
  /** Amounts past the cents stand in a slot of this many digits, absent where no row needs one. */
  readonly slot?: number;
  readonly className?: string;
  readonly cell: (row: Row) => ReactNode;
}

/** A row at the foot: what is not shown, what belongs to nobody, the total. Cells by column id; the first column spans none. */
export interface FootRow {
  readonly kind: "rest" | "unattributed" | "total";
  readonly cells: Readonly<Record<string, ReactNode>>;
}

export interface Sorting {
  readonly column: string;
  readonly descending: boolean;
  readonly onSort: (column: string, descending: boolean) => void;
}

/** Columns whose natural first order is ascending. */
const ASCENDING_FIRST = new Set(["user_id", "top_model", "model", "provider", "tool_name", "key"]);

/**
 * A ledger: server-sorted rows, what is not shown, and a total under a double rule. Each row opens by a real link in its first
 * cell; a click anywhere on the row follows it.
 */
export function Ledger<Row>({
  caption,
  columns,
  rows,
  rowKey,
  rowHref,
  rowId,
  foot,
  sorting,
  dense = false,
  onRowOver,
}: {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  rowHref?: (row: Row) => string;
  /** Marks the row in the document, so that a drawing beside the table can light it. */
  rowId?: (row: Row) => string;
  foot?: readonly FootRow[];
  sorting?: Sorting;
  dense?: boolean;
  onRowOver?: (key: string | null) => void;
}) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [frame, fits] = useFits();
  const shown = useSteady(rows, rowKey, body);
  const open = (event: MouseEvent<HTMLTableRowElement>, row: Row): void => {
    if (!rowHref || event.defaultPrevented || (event.target as Element).closest("a, button")) return;
    if (getSelection()?.type === "Range") return;
    if (event.ctrlKey || event.metaKey) window.open(rowHref(row));
    else go(rowHref(row));
  };
  return (
    <div className={fits ? "ledger-scroll fits" : "ledger-scroll"} ref={frame}>
      <Table
        caption={caption}
        className={dense ? "dense" : ""}
        columns={columns}
        rows={shown}
        rowKey={rowKey}
        {...(foot ? { foot } : {})}
        sorting={sorting}
        body={body}
        rowProps={(row) => ({
          className: rowHref ? "go" : undefined,
          "data-row": rowId?.(row),
          onClick: (event) => open(event, row),
          onPointerEnter: () => onRowOver?.(rowKey(row)),
          onPointerLeave: () => onRowOver?.(null),
        })}
      />
    </div>
  );
}

/** Whether the table is no wider than its place. One that is wider scrolls within it, so that the page never does. */
function useFits(): readonly [RefObject<HTMLDivElement | null>, boolean] {
  const ref = useRef<HTMLDivElement>(null);
  const [fits, setFits] = useState(false);
  useLayoutEffect(() => {
    const frame = ref.current;
    const table = frame?.firstElementChild;
    if (!frame || !table) return;
    const measure = (): void => {
      const { paddingLeft, paddingRight } = getComputedStyle(frame);
      setFits(table.getBoundingClientRect().width <= frame.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight) + 0.5);
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(frame);
    observer.observe(table);
    return () => observer.disconnect();
  }, []);
  return [ref, fits];
}

/** The table itself: columns, rows, and what stands under them. */
export function Table<Row>({
  caption,
  className = "",
  columns,
  rows,
  rowKey,
  foot = [],
  sorting,
  body,
  rowProps,
}: {
  caption: string;
  className?: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  foot?: readonly FootRow[];
  sorting?: Sorting | undefined;
  body?: RefObject<HTMLTableSectionElement | null>;
  rowProps?: (row: Row) => HTMLAttributes<HTMLTableRowElement> & { "data-row"?: string | undefined };
}) {
  return (
    <table className={`ledger ${className}`.trim()}>
      <caption className="hidden">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <Header key={column.id} column={column} sorting={sorting} />
          ))}
        </tr>
      </thead>
      <tbody ref={body}>
        {rows.map((row) => (
          <tr key={rowKey(row)} {...rowProps?.(row)}>
            {columns.map((column) => (
              <td key={column.id} className={cellClass(column)}>
                {column.cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
      {foot.length > 0 && (
        <tfoot>
          {foot.map((row, index) => (
            <tr key={row.kind} className={`${row.kind}${foot[index + 1]?.kind === "total" ? " before-total" : ""}`}>
              {columns.map((column, at) =>
                at === 0 ? (
                  <th key={column.id} scope="row">
                    {row.cells[column.id]}
                  </th>
                ) : (
                  <td key={column.id} className={cellClass(column)}>
                    {row.cells[column.id]}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tfoot>
      )}
    </table>
  );
}

function Header<Row>({ column, sorting }: { column: Column<Row>; sorting: Sorting | undefined }) {
  const { sort } = column;
  const chosen = sorting !== undefined && sort !== undefined && sorting.column === sort;
  const order = chosen ? (sorting.descending ? "descending" : "ascending") : undefined;
  return (
    <th scope="col" className={cellClass(column)} {...(order ? { "aria-sort": order } : {})}>
      {sorting && sort !== undefined ? (
        <button type="button" onClick={() => sorting.onSort(sort, chosen ? !sorting.descending : !ASCENDING_FIRST.has(sort))}>
          {/* Left of the label in number columns, so that digits and label share an edge. */}
          {chosen && column.numeric && <Icon name={sorting.descending ? "down" : "up"} small />}
          {column.label}
          {chosen && !column.numeric && <Icon name={sorting.descending ? "down" : "up"} small />}
        </button>
      ) : (
        column.label
      )}
    </th>
  );
}

function cellClass<Row>(column: Column<Row>): string | undefined {
  const names = [column.numeric ? "numeric" : "", column.slot === undefined ? "" : `slot slot-${column.slot}`, column.className ?? ""];
  return names.filter(Boolean).join(" ") || undefined;
}

const STEADY_MS = 5_000;

/** Rows never reorder under the pointer: a newer order waits until it leaves, or 5 s. New values of the same order come at once. */
function useSteady<Row>(rows: readonly Row[], rowKey: (row: Row) => string, body: { current: HTMLElement | null }): readonly Row[] {
  const [shown, setShown] = useState(rows);
  const order = rows.map(rowKey).join("\n");
  const held = shown.map(rowKey).join("\n");
  const [waits, setWaits] = useState(false);
  if (shown !== rows && !waits) {
    if (order === held || !body.current?.matches(":hover")) setShown(rows);
    else setWaits(true);
  }
  useEffect(() => {
    if (!waits) return;
    const element = body.current;
    const release = (): void => setWaits(false);
    const timer = window.setTimeout(() => {
      setShown(rows);
      release();
    }, STEADY_MS);
    element?.addEventListener("pointerleave", release);
    return () => {
      window.clearTimeout(timer);
      element?.removeEventListener("pointerleave", release);
    };
  }, [waits, rows, body]);
  return shown;
}

/** The first load, in the table's real geometry; nothing shimmers. */
export function LedgerSkeleton({ columns, rows }: { columns: readonly { label: string; numeric?: boolean; width?: number }[]; rows: number }) {
  return (
    <div className="ledger-scroll" aria-busy="true">
      <table className="ledger">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.label} className={column.numeric ? "numeric" : undefined}>
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: rows }, (_, row) => (
            <tr key={row}>
              {columns.map((column) => {
                const width = column.width ?? (column.numeric ? 52 : 88);
                return (
                  <td key={column.label} className={column.numeric ? "numeric" : undefined}>
                    <svg className="skeleton" width={width} height="10" aria-hidden="true">
                      <rect width={width} height="10" rx="3" />
                    </svg>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
