import type { ReactNode } from "react";
import { delta } from "../format/delta";
import { Change } from "./delta";

export interface Kpi {
  readonly label: string;
  readonly value: ReactNode;
  /** The number it is compared with, and how it reads; or a line of its own. */
  readonly now?: string | number | null | undefined;
  readonly before?: string | number | null | undefined;
  readonly beforeText?: string | undefined;
  readonly note?: ReactNode;
  /** Another question than the strip's answers it, and has not yet. */
  readonly pending?: boolean;
}

/** Numbers on hairlines, no boxes. The first is the one the page is about. */
export function Kpis({ kpis }: { kpis: readonly Kpi[] }) {
  return (
    <dl className="kpis">
      {kpis.map((kpi) => (
        <div className="kpi" key={kpi.label} aria-busy={kpi.pending}>
          <dt>{kpi.label}</dt>
          {kpi.pending ? (
            <Blank />
          ) : (
            <dd>
              {kpi.value}
              <div className="kpi-note">{kpi.note ?? <Against kpi={kpi} />}</div>
            </dd>
          )}
        </div>
      ))}
    </dl>
  );
}

/** The change, with the old number spelled out. */
function Against({ kpi }: { kpi: Kpi }) {
  if (kpi.beforeText === undefined) return null;
  const { kind } = delta(kpi.now, kpi.before);
  if (kind === "none") return <>{kpi.beforeText} before</>;
  if (kind === "new") return <>new, nothing before</>;
  return (
    <>
      <Change now={kpi.now} before={kpi.before} /> from {kpi.beforeText}
    </>
  );
}

export function KpiSkeleton({ labels }: { labels: readonly string[] }) {
  return (
    <dl className="kpis" aria-busy="true">
      {labels.map((label) => (
        <div className="kpi" key={label}>
          <dt>{label}</dt>
          <Blank />
        </div>
      ))}
    </dl>
  );
}

/** A figure that is not known yet, and its note. */
function Blank() {
  return (
    <dd>
      <svg className="skeleton" width="96" height="32" aria-hidden="true">
        <rect y="8" width="96" height="18" rx="4" />
      </svg>
      <div className="kpi-note">
        <svg className="skeleton" width="120" height="18" aria-hidden="true">
          <rect y="4" width="120" height="10" rx="3" />
        </svg>
      </div>
    </dd>
  );
}
