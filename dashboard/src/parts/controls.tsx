import { type ReactNode, useState } from "react";
import { API, Problem, address, download } from "../api/client";
import { curl } from "../format/curl";
import { plural } from "../format/count";
import { useKey } from "../state/keys";
import type { Pairs } from "../state/scope";
import { Icon } from "./icon";
import { Popover } from "./popover";
import { copy, toast } from "./toast";

/** One of few, as a pressed button. */
export function Segments<Value extends string>({
  label,
  options,
  value,
  onChoose,
  small = false,
  children,
}: {
  label: string;
  options: readonly { value: Value; label: ReactNode }[];
  value: Value;
  onChoose: (value: Value) => void;
  small?: boolean;
  /** What opens more of them. */
  children?: ReactNode;
}) {
  return (
    <div className={small ? "segments small" : "segments"} role="group" aria-label={label}>
      {options.map((option) => (
        <button key={option.value} type="button" aria-pressed={option.value === value} onClick={() => onChoose(option.value)}>
          {option.label}
        </button>
      ))}
      {children}
    </div>
  );
}

const CHART_TABLE = [
  { value: "chart", label: "Chart" },
  { value: "table", label: "Table" },
] as const;

export function ChartOrTable({ shows, onChoose }: { shows: "chart" | "table"; onChoose: (shows: "chart" | "table") => void }) {
  return <Segments small label="Show as" options={CHART_TABLE} value={shows} onChoose={onChoose} />;
}

/** The same question for a terminal. The key is a variable, so that it stands in no history. */
export function CopyCurl({ path, pairs, filters }: { path: string; pairs: Pairs; filters: number }) {
  const act = (): void => {
    const kept = filters > 0 ? `, with this window and ${plural(filters, "filter")}` : ", with this window";
    void copy(curl(address(`${API}/${path}`, pairs)), `curl copied${kept}`);
  };
  useKey("c", act);
  return (
    <button type="button" className="button" onClick={act}>
      <Icon name="terminal" />
      Copy as curl
    </button>
  );
}

const FORMATS = [
  { format: "csv", name: "CSV", note: "rows, guarded for spreadsheets" },
  { format: "ndjson", name: "NDJSON", note: "one row a line" },
  { format: "parquet", name: "Parquet", note: "typed columns" },
  { format: "focus", name: "FOCUS", note: "cost and usage, FinOps columns" },
] as const;

/** A question whose whole answer can be saved, and what the file is called. */
export interface Exported {
  readonly path: string;
  readonly pairs: Pairs;
  readonly name: string;
}

export function Export(exported: Exported) {
  return (
    <Popover
      label="Export"
      align="end"
      button={
        <>
          <Icon name="download" />
          Export
        </>
      }
    >
      {(close) => (
        <ul className="options">
          <Formats {...exported} close={close} />
        </ul>
      )}
    </Popover>
  );
}

/** Every row of the answer, not the page of it. Times are UTC, and it says so. */
export function Formats({ path, pairs, name, close }: Exported & { close: () => void }) {
  const [trouble, setTrouble] = useState<string | null>(null);
  const save = async (format: string): Promise<void> => {
    setTrouble(null);
    try {
      await download(`${API}/${path}`, [...pairs, ["format", format]], `percapita-${name}${format === "focus" ? "-focus.csv" : `.${format}`}`);
      close();
      toast(`Export of ${name} saved`);
    } catch (error) {
      // A file that ends early would be read as the whole: a broken transfer saves nothing.
      setTrouble(error instanceof Problem ? error.detail : "The transfer broke off; nothing was saved.");
    }
  };
  return (
    <>
      {FORMATS.map(({ format, name: title, note }) => (
        <li key={format}>
          <button type="button" onClick={() => void save(format)}>
            {title}
            <span className="option-note">{note}</span>
          </button>
        </li>
      ))}
      {trouble !== null && (
        <li className="options-foot bad" role="alert">
          {trouble}
        </li>
      )}
      <li className="options-foot">All rows, not just this page. Times in UTC.</li>
    </>
  );
}
