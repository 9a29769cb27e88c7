import type { Event } from "../api/types";

/** How a bar is drawn; each differs in shape or pattern, not in colour alone. */
export type Kind = "llm" | "tool" | "failed" | "interrupted" | "unpriced" | "block" | "point";

export interface Lane {
  readonly event: Event;
  readonly depth: number;
  readonly kind: Kind;
  /** Milliseconds from the trace's start. */
  readonly start: number;
  readonly length: number;
  /** Until the first token; 0 where it is not known. */
  readonly waiting: number;
}

export interface Fold {
  /** The event that the folded ones follow, which names them. */
  readonly first: Lane;
  readonly folded: readonly Lane[];
}

export type Line = Lane | Fold;

/** More siblings alike than this become one row with a count. */
const MOST_ALIKE = 8;

/** Events by their spans: children under their parent in order of time, the trace's own block first. */
export function lanes(events: readonly Event[]): Lane[] {
  const start = Math.min(...events.map((event) => Date.parse(event.timestamp)));
  const bySpan = new Map(events.flatMap((event) => (event.span_id === null ? [] : [[event.span_id, event] as const])));
  const children = new Map<Event | null, Event[]>();
  for (const event of events) {
    const parent = event.parent_span_id === null ? null : (bySpan.get(event.parent_span_id) ?? null);
    const key = parent === event ? null : parent;
    children.set(key, [...(children.get(key) ?? []), event]);
  }
  const found: Lane[] = [];
  const seen = new Set<Event>();
  const walk = (parent: Event | null, depth: number): void => {
    for (const event of inOrder(children.get(parent) ?? [])) {
      if (seen.has(event)) continue;
      seen.add(event);
      found.push(lane(event, depth, start));
      walk(event, depth + 1);
    }
  };
  walk(null, 0);
  // Spans that name each other as parents hang from nothing; they are shown all the same.
  for (const event of inOrder(events)) if (!seen.has(event)) found.push(lane(event, 0, start));
  return found;
}

function inOrder(events: readonly Event[]): Event[] {
  return [...events].sort((a, b) => Number(b.type === "trace") - Number(a.type === "trace") || Date.parse(a.timestamp) - Date.parse(b.timestamp));
}

function lane(event: Event, depth: number, start: number): Lane {
  const length = event.latency_ms ?? 0;
  const first = event.time_to_first_token_ms ?? 0;
  return {
    event,
    depth,
    kind: kindOf(event),
    start: Date.parse(event.timestamp) - start,
    length,
    waiting: event.type === "llm" ? Math.min(first, length) : 0,
  };
}

function kindOf(event: Event): Kind {
  if (event.type === "trace") return "block";
  if (event.status === "error") return "failed";
  if (event.latency_ms === null || event.type === "log") return "point";
  if (event.price_status === "unpriced") return "unpriced";
  if (event.status === "aborted" || event.price_status === "estimated") return "interrupted";
  return event.type === "llm" ? "llm" : "tool";
}

/** The end of the last bar, in milliseconds; never zero, so that it divides. */
export function span(all: readonly Lane[]): number {
  return Math.max(1, ...all.map((one) => one.start + one.length));
}

const MOST_STEPS = 6;
/** What "1 m 30 s" takes, and air. */
const STEP_WIDTH = 64;

/** Ticks of the time axis at round steps: six steps at most, and no more than the lane has room to label. */
export function timeTicks(milliseconds: number, width = MOST_STEPS * STEP_WIDTH): number[] {
  const rough = milliseconds / Math.max(1, Math.min(MOST_STEPS, Math.floor(width / STEP_WIDTH)));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((times) => times * power >= rough) ?? 10);
  const found: number[] = [];
  for (let at = 0; at <= milliseconds; at += step) found.push(at);
  return found;
}

/** Runs of more than eight like siblings become one line; what failed or is chosen is never hidden in one. */
export function folded(all: readonly Lane[], chosen: string | null): Line[] {
  const found: Line[] = [];
  let run: Lane[] = [];
  const flush = (): void => {
    if (run.length > MOST_ALIKE) found.push({ first: run[0]!, folded: run });
    else found.push(...run);
    run = [];
  };
  for (const [index, one] of all.entries()) {
    const previous = run.at(-1);
    const hasChildren = (all[index + 1]?.depth ?? 0) > one.depth;
    const stands = one.kind === "failed" || one.kind === "block" || one.event.id === chosen || hasChildren;
    if (stands || (previous && !alike(previous, one))) flush();
    if (stands) found.push(one);
    else run.push(one);
  }
  flush();
  return found;
}

function alike(a: Lane, b: Lane): boolean {
  return a.depth === b.depth && a.kind === b.kind && a.event.type === b.event.type && nameOf(a.event) === nameOf(b.event) && a.event.model === b.event.model;
}

/** What an event is called: its own name, its tool's, what it does, what it is. */
export function nameOf(event: Event): string {
  return event.name ?? event.tool_name ?? event.operation ?? event.type;
}

export function isFold(line: Line): line is Fold {
  return "folded" in line;
}
