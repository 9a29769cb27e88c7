import type { ReactNode } from "react";

/** 16 by 16, one stroke; drawn for this product. */
const SHAPES = {
  overview: <path d="M2.5 13.5h11M4 11V8M8 11V3.5M12 11V6" />,
  users: (
    <>
      <circle cx="8" cy="5.2" r="2.7" />
      <path d="M2.8 13.6c.5-2.7 2.6-4.2 5.2-4.2s4.7 1.5 5.2 4.2" />
    </>
  ),
  traces: <path d="M2.5 4h6M5.5 8h6M8.5 12h5" />,
  models: (
    <>
      <path d="M8 2 13.4 5v6L8 14l-5.4-3V5z" />
      <path d="M2.8 5.1 8 8l5.2-2.9M8 8v5.8" />
    </>
  ),
  tools: <path d="M9.9 3.8a3.3 3.3 0 0 1 3.9 4.3l-3.6.8-3.7 3.7a1.7 1.7 0 0 1-2.4-2.4l3.7-3.7.6-3.6z" />,
  bell: <path d="M4 7a4 4 0 0 1 8 0c0 3.6 1.5 4.4 1.5 4.4h-11S4 10.6 4 7M6.8 13.6h2.4" />,
  keyboard: (
    <>
      <rect x="1.8" y="4" width="12.4" height="8.4" rx="1.8" />
      <path d="M4.5 7h.1M7 7h.1M9.5 7h.1M11.8 7h.1M5.5 9.8h5" />
    </>
  ),
  theme: (
    <>
      <circle cx="8" cy="8" r="5.5" />
      <path d="M8 2.5v11a5.5 5.5 0 0 0 0-11z" fill="currentColor" />
    </>
  ),
  account: (
    <>
      <circle cx="8" cy="8" r="6" />
      <circle cx="8" cy="6.6" r="1.9" />
      <path d="M4.4 12.5c.7-1.6 2-2.4 3.6-2.4s2.9.8 3.6 2.4" />
    </>
  ),
  more: <path d="M3.5 8h.1M8 8h.1M12.5 8h.1" strokeWidth="2" />,
  left: <path d="M9.5 4 5.5 8l4 4" />,
  right: <path d="m6.5 4 4 4-4 4" />,
  down: <path d="m4.5 6.5 3.5 3.5 3.5-3.5" />,
  up: <path d="m4.5 9.5 3.5-3.5 3.5 3.5" />,
  close: <path d="m4.5 4.5 7 7M11.5 4.5l-7 7" />,
  plus: <path d="M8 3.5v9M3.5 8h9" />,
  check: <path d="m3.5 8.4 3 3 6-6.6" />,
  search: (
    <>
      <circle cx="7" cy="7" r="4.2" />
      <path d="m10.2 10.2 3.3 3.3" />
    </>
  ),
  terminal: <path d="m3 4.5 3.5 3.5L3 11.5M8.5 12H13" />,
  download: <path d="M8 2.5v7.7M4.9 7.3 8 10.4l3.1-3.1M3 13.3h10" />,
  link: <path d="M6.6 9.4 9.4 6.6M7.4 4.6l1.2-1.2a2.8 2.8 0 0 1 4 4l-1.2 1.2M8.6 11.4l-1.2 1.2a2.8 2.8 0 0 1-4-4l1.2-1.2" />,
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.6" />
      <path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
    </>
  ),
  again: <path d="M13 8a5 5 0 1 1-1.5-3.6M13 2.6v2.6h-2.6" />,
  warning: <path d="M8 2.6 14 13H2zM8 6.6v3M8 11.3v.1" />,
  lock: (
    <>
      <rect x="3.5" y="7" width="9" height="6.5" rx="1.6" />
      <path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2" />
    </>
  ),
  eye: (
    <>
      <path d="M1.8 8S4 3.8 8 3.8 14.2 8 14.2 8 12 12.2 8 12.2 1.8 8 1.8 8z" />
      <circle cx="8" cy="8" r="1.9" />
    </>
  ),
  waiting: <circle cx="8" cy="8" r="5.2" strokeDasharray="2 2.4" />,
  llm: <path d="M8 2.2 9.5 6.5 13.8 8 9.5 9.5 8 13.8 6.5 9.5 2.2 8 6.5 6.5z" />,
  log: <path d="M3.5 4.5h9M3.5 8h9M3.5 11.5h5.5" />,
  custom: <circle cx="8" cy="8" r="4.2" />,
  sort: <path d="m5 6.2 3-3 3 3M5 9.8l3 3 3-3" />,
  leave: <path d="M6.5 3H4a1 1 0 0 0-1 1v8a1 1 0 0 0 1 1h2.5M10 5l3 3-3 3M13 8H6.5" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof SHAPES;

/** Never alone: a label stands beside it, or on its button. */
export function Icon({ name, small = false }: { name: IconName; small?: boolean }) {
  return (
    <svg className={small ? "icon small" : "icon"} viewBox="0 0 16 16" aria-hidden="true">
      {SHAPES[name]}
    </svg>
  );
}

/** A division sign: spend, divided. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 20 20" aria-hidden="true">
      <circle cx="10" cy="4.6" r="2.4" />
      <rect x="2.5" y="8.7" width="15" height="2.6" rx="1.3" />
      <circle cx="10" cy="15.4" r="2.4" />
    </svg>
  );
}

/** Geist's latin file has no almost-equal sign, so the estimate's mark is drawn. */
export function Wave() {
  return (
    <svg className="wave" viewBox="0 0 10 11" role="img" aria-label="includes an estimate">
      <path d="M1.5 4.2c1.1-1.5 2.3-1.5 3.5-.5s2.400 1 3.5-.5M1.5 7.900c1.1-1.5 2.3-1.5 3.5-.5s2.4 1 3.5-.5" />
    </svg>
  );
}

/** The patterns that other drawings fill with: they tell things apart without colour. */
export function Patterns() {
  return (
    <svg width="0" height="0" className="hidden" aria-hidden="true">
      <defs>
        <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="5" height="5" className="hatch-ground" />
          <rect width="1.6" height="5" className="hatch-line" />
        </pattern>
        <pattern id="hatch-warn" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="5" height="5" className="warn-ground" />
          <rect width="1.5" height="5" className="warn-line" />
        </pattern>
        <pattern id="many" width="3" height="18" patternUnits="userSpaceOnUse">
          <rect width="2.2" height="18" className="many" />
        </pattern>
        {/* With the hatch, of the series after the first, where the reader's system forces its own few colours. */}
        <pattern id="forced-3" width="4" height="4" patternUnits="userSpaceOnUse">
          <rect width="4" height="4" className="hatch-ground" />
          <circle cx="2" cy="2" r="1" className="hatch-line" />
        </pattern>
        <pattern id="forced-4" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">
          <rect width="5" height="5" className="hatch-ground" />
          <rect width="3.2" height="5" className="hatch-line" />
        </pattern>
        <pattern id="forced-5" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="4" height="4" className="hatch-ground" />
          <path d="M0 0H4V1.2H1.2V4H0z" className="hatch-line" />
        </pattern>
      </defs>
    </svg>
  );
}
