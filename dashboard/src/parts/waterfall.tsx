import { useEffect, useRef, useState } from "react";
import type { Event, TraceDetail } from "../api/types";
import { type Lane, type Line, folded, isFold, nameOf, span, timeTicks } from "../charts/waterfall";
import { useWidth } from "../charts/width";
import { duration, plural } from "../format/count";
import { exact, sum } from "../format/decimal";
import { useParams } from "../state/address";
import { Amount, Mark, NotApplicable, madeOf } from "./amount";
import { Icon, type IconName } from "./icon";

/** 0, 500 ms, 5 s, 2 m: whole where the ticks are. */
function tickText(milliseconds: number): string {
  return milliseconds === 0 ? "0" : duration(milliseconds).replace(/\.0 s$/, " s").replace(/ 0 s$/, "");
}

const ICONS: Record<Event["type"], IconName> = { llm: "llm", tool: "tools", log: "log", trace: "traces", custom: "custom" };

/** Events in order, what each cost, and when it ran; runs of one kind are folded until they are asked for. */
export function Waterfall({ trace, all, chosen, onChoose }: { trace: TraceDetail; all: readonly Lane[]; chosen: string | null; onChoose: (id: string) => void }) {
  const [opened, setOpened] = useState<readonly string[]>([]);
  const whole = span(all);
  const lines = folded(all, chosen).flatMap((line): readonly Line[] => (isFold(line) && opened.includes(line.first.event.id) ? line.folded : [line]));
  const kinds = new Set(all.map((lane) => lane.kind));
  const [ref, width] = useWidth<HTMLDivElement>();
  const ticks = timeTicks(whole, width);
  return (
    <>
      <div className="waterfall" role="table" aria-label="Events in order">
        <div role="rowgroup">
          <div className="fall-row fall-head" role="row">
            <span role="columnheader">Event</span>
            <span role="columnheader" className="fall-cost">
              USD
            </span>
            <span role="columnheader" ref={ref} className="lane">
              <span className="hidden">Time</span>
              <svg width={width} height="28" viewBox={`0 0 ${width} 28`} aria-hidden="true">
                {ticks.map((tick, index) => (
                  <text key={tick} x={(tick / whole) * width} y="18" textAnchor={index === 0 ? "start" : (tick / whole) * width > width - 24 ? "end" : "middle"}>
                    {tickText(tick)}
                  </text>
                ))}
              </svg>
            </span>
          </div>
        </div>
        <div role="rowgroup">
          {lines.map((line) =>
            isFold(line) ? (
              <div className="fall-row fall-fold" role="row" key={line.first.event.id}>
                <span role="cell" className="fall-name" data-depth={Math.min(line.first.depth, 6)}>
                  <button type="button" onClick={() => setOpened([...opened, line.first.event.id])}>
                    <Icon name={ICONS[line.first.event.type]} />
                    {nameOf(line.first.event)} <span className="dim">× {line.folded.length}, show all</span>
                  </button>
                </span>
                <span role="cell" className="fall-cost">
                  <FoldCost lanes={line.folded} />
                </span>
                <span role="cell" className="lane">
                  <svg width={width} height="33" viewBox={`0 0 ${width} 33`} aria-hidden="true">
                    {line.folded.map((lane) => (
                      <LaneShape key={lane.event.id} lane={lane} whole={whole} width={width} bare />
                    ))}
                  </svg>
                </span>
              </div>
            ) : (
              <FallRow key={line.event.id} lane={line} whole={whole} ticks={ticks} width={width} chosen={line.event.id === chosen} onChoose={onChoose} />
            ),
          )}
        </div>
        <div role="rowgroup">
          <div className="fall-row fall-total" role="row">
            <span role="rowheader">Total</span>
            <span role="cell" className="fall-cost">
              <Amount amount={trace.spend} made={madeOf(trace)} style="trace" sign />
            </span>
            <span role="cell" className="fall-note">
              {trace.unpriced_events > 0 ? `at least: ${plural(trace.unpriced_events, "event")} without a price yet` : ""}
            </span>
          </div>
        </div>
      </div>
      <Legend kinds={kinds} />
    </>
  );
}

function FallRow({ lane, whole, ticks, width, chosen, onChoose }: { lane: Lane; whole: number; ticks: readonly number[]; width: number; chosen: boolean; onChoose: (id: string) => void }) {
  const { event } = lane;
  const [params] = useParams();
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    if (chosen) link.current?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  const next = new URLSearchParams(params);
  next.set("event", event.id);
  return (
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus -- the link in its first cell is the keyboard's way
    <div className={chosen ? "fall-row go chosen" : "fall-row go"} role="row" onClick={() => onChoose(event.id)}>
      <span role="cell" className="fall-name" data-depth={Math.min(lane.depth, 6)}>
        <a
          ref={link}
          href={`?${next.toString()}`}
          aria-current={chosen ? "true" : undefined}
          onClick={(press) => {
            if (press.ctrlKey || press.metaKey || press.shiftKey) {
              press.stopPropagation();
              return;
            }
            press.preventDefault();
          }}
        >
          <Icon name={ICONS[event.type]} />
          <span className="fall-text">
            {nameOf(event)} {event.model !== null && <span className="mono dim">{event.model}</span>}
          </span>
        </a>
        {event.status === "error" && (
          <span className="mark error" title={event.error_code ?? undefined}>
            {event.error_code ?? "error"}
          </span>
        )}
      </span>
      <span role="cell" className="fall-cost">
        <EventCost event={event} />
      </span>
      <span role="cell" className="lane">
        <svg width={width} height="33" viewBox={`0 0 ${width} 33`} role="img" aria-label={laneWords(lane)}>
          {ticks.map((tick) => (
            <path key={tick} className="tick" d={`M${(tick / whole) * width} 0V33`} />
          ))}
          <LaneShape lane={lane} whole={whole} width={width} />
        </svg>
      </span>
    </div>
  );
}

function laneWords(lane: Lane): string {
  const kind = lane.kind === "failed" ? "failed, " : lane.kind === "interrupted" ? "interrupted, " : lane.kind === "unpriced" ? "no price, " : "";
  return `${kind}from ${duration(lane.start)}${lane.length > 0 ? ` for ${duration(lane.length)}` : ""}`;
}

/** The eight kinds of money, for one event. */
function EventCost({ event }: { event: Event }) {
  if (event.price_status === "unpriced") return <Mark kind="unpriced">no price</Mark>;
  // An own tool, a log line, a block: the question of cost does not apply.
  if (event.type !== "llm" && (event.cost === null || event.price_status === "none")) return <NotApplicable />;
  return <Amount amount={event.cost} made={{ status: event.price_status }} style="trace" />;
}

function FoldCost({ lanes: held }: { lanes: readonly Lane[] }) {
  if (held.every(({ event }) => event.type !== "llm" && event.price_status === "none")) return <NotApplicable />;
  return <Amount amount={exact(sum(held.map(({ event }) => event.cost)))} style="trace" />;
}

const NAME_WIDTH = 52;

function LaneShape({ lane, whole, width, bare = false }: { lane: Lane; whole: number; width: number; bare?: boolean }) {
  const x = (lane.start / whole) * width;
  const long = Math.max(2.5, (lane.length / whole) * width);
  const end = Math.min(x + long, width);
  const start = Math.min(x, width - 2.5);
  const bar = { x: start, y: 11, width: Math.max(2.5, end - start), height: 11, rx: 2 };
  const thin = { ...bar, y: 13, height: 7, rx: 1.5 };
  const waiting = lane.length > 0 ? (lane.waiting / lane.length) * bar.width : 0;
  // The duration stands beside the bar, left of it near the edge.
  const flips = end > width - NAME_WIDTH;
  const fits = !flips || start > NAME_WIDTH;
  return (
    <>
      {lane.kind === "llm" && (
        <>
          <rect className="lane-wait" {...bar} />
          <rect className="lane-llm" {...bar} x={bar.x + waiting} width={Math.max(0, bar.width - waiting)} />
        </>
      )}
      {lane.kind === "tool" && <rect className="lane-tool" {...thin} />}
      {lane.kind === "failed" && <rect className="lane-failed" {...thin} />}
      {lane.kind === "block" && <rect className="lane-block" {...thin} y={15} height={3} />}
      {lane.kind === "unpriced" && <rect className="lane-unpriced" {...bar} />}
      {lane.kind === "interrupted" && (
        <>
          <rect className="lane-interrupted" {...bar} y={11.5} height={10} />
          <rect className="lane-wait" {...bar} width={waiting} />
        </>
      )}
      {lane.kind === "point" && <circle className="lane-point" cx={start + 2} cy="16.5" r="2.5" />}
      {!bare && lane.length > 0 && fits && (
        <text x={flips ? start - 7 : end + 7} y="20.5" textAnchor={flips ? "end" : "start"}>
          {duration(lane.length)}
        </text>
      )}
    </>
  );
}

const LEGEND: readonly [Lane["kind"], string][] = [
  ["block", "the traced block"],
  ["llm", "waiting, then streaming"],
  ["tool", "tool"],
  ["interrupted", "interrupted, cost estimated"],
  ["unpriced", "no price"],
  ["failed", "failed"],
];

/** What the shapes mean; only those that are there. */
function Legend({ kinds }: { kinds: ReadonlySet<Lane["kind"]> }) {
  return (
    <p className="key-line">
      {LEGEND.filter(([kind]) => kinds.has(kind)).map(([kind, words]) => (
        <span key={kind}>
          <svg className="lane" width="18" height="8" aria-hidden="true">
            {kind === "llm" && (
              <>
                <rect className="lane-wait" width="18" height="8" rx="2" />
                <rect className="lane-llm" x="7" width="11" height="8" rx="2" />
              </>
            )}
            {(kind === "tool" || kind === "failed") && <rect className={`lane-${kind}`} y="1.5" width="18" height="5" rx="1.5" />}
            {kind === "block" && <rect className="lane-block" y="2.5" width="18" height="3" rx="1.5" />}
            {(kind === "interrupted" || kind === "unpriced") && <rect className={`lane-${kind}`} x=".5" y=".5" width="17" height="7" rx="2" />}
          </svg>
          {words}
        </span>
      ))}
    </p>
  );
}
