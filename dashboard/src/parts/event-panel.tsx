import { useEffect, useRef } from "react";
import { useMe } from "../api/answers";
import type { CostPart, Event } from "../api/types";
import { nameOf } from "../charts/waterfall";
import { count, duration, plural } from "../format/count";
import { nanos } from "../format/decimal";
import { amountText, dollarText, priceText } from "../format/money";
import { clockMillis, fullTime } from "../format/time";
import { useKey } from "../state/keys";
import { usePrices } from "../state/prices";
import { Mark, NotApplicable } from "./amount";
import { Body, Message, NotStored } from "./content";
import { Fold } from "./fold";
import { Icon } from "./icon";
import { Wave } from "./icon";
import { type Column, Table } from "./ledger";
import { copy } from "./toast";
import { absentReason, messagesOf } from "../format/content";

/** Cost first, then latency, then what was said, then what was sent as it was sent. */
export function EventPanel({
  event,
  tz,
  hasPrevious,
  hasNext,
  onMove,
  onClose,
}: {
  event: Event;
  tz: string;
  hasPrevious: boolean;
  hasNext: boolean;
  onMove: (by: 1 | -1) => void;
  onClose: () => void;
}) {
  const panel = useRef<HTMLElement>(null);
  useKey("Escape", onClose);
  useEffect(() => {
    // In a block: newer browsers return a promise here, and React would take it for a clean-up.
    panel.current?.scrollTo(0, 0);
  }, [event.id]);
  const at = new Date(event.timestamp);
  return (
    <aside className="panel" aria-label="Event" ref={panel}>
      <div className="panel-top">
        <h2>{nameOf(event)}</h2>
        <button type="button" className="button quiet icon-only" aria-label="Previous event" title="Previous  ↑" disabled={!hasPrevious} onClick={() => onMove(-1)}>
          <Icon name="left" />
        </button>
        <button type="button" className="button quiet icon-only" aria-label="Next event" title="Next  ↓" disabled={!hasNext} onClick={() => onMove(1)}>
          <Icon name="right" />
        </button>
        <button type="button" className="button quiet icon-only" aria-label="Copy a link to this event" title="Copy a link" onClick={() => void copy(location.href, "Link to this event copied")}>
          <Icon name="link" />
        </button>
        <button type="button" className="button quiet icon-only" aria-label="Close" title="Close  Esc" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <p className="panel-meta">
        {event.model !== null && <span className="mono">{event.model}</span>}
        {event.provider !== null && <span>{event.provider}</span>}
        {event.service_tier !== null && <span>{event.service_tier} tier</span>}
        {event.type !== "llm" && <span>{event.type}</span>}
        <span title={fullTime(at, tz)}>{clockMillis(at, tz)}</span>
        {event.status !== "ok" && <Mark kind={event.status === "error" ? "error" : "plain"}>{event.error_code ?? event.status}</Mark>}
      </p>
      <Cost event={event} />
      <Latency event={event} />
      <Said event={event} />
      <h3>Also on this event</h3>
      <Fold title="Raw usage object, as the provider sent it">
        {event.raw_usage == null ? <p className="dim">No usage object came with it.</p> : <pre>{JSON.stringify(event.raw_usage, null, 2)}</pre>}
      </Fold>
      <Fold title={`Metadata and ${plural(Object.keys(event.tags).length, "tag")}`}>
        <dl className="facts-list">
          {Object.entries(event.tags).map(([key, value]) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd>{value}</dd>
            </div>
          ))}
          {event.flags.length > 0 && (
            <div>
              <dt>Flags</dt>
              <dd>
                {event.flags.map((flag) => (
                  <p key={flag}>{FLAGS[flag] === undefined ? flag : `${flag}: ${FLAGS[flag]}`}</p>
                ))}
              </dd>
            </div>
          )}
          <div>
            <dt>Event id</dt>
            <dd className="mono">{event.id}</dd>
          </div>
          {event.span_id !== null && (
            <div>
              <dt>Span</dt>
              <dd className="mono">{event.span_id}</dd>
            </div>
          )}
        </dl>
        {event.metadata != null && <pre>{JSON.stringify(event.metadata, null, 2)}</pre>}
      </Fold>
    </aside>
  );
}

/** What flags say. */
const FLAGS: Record<string, string> = {
  shortened: "something was longer than we keep, and was cut or left out; its numbers are whole",
  text_repaired: "some text was not Unicode",
  tier_requested: "the tier that was asked for; which one served is not known",
  usage_estimated: "the stream ended early, and its tokens are estimated",
  usage_inconsistent: "its counts contradict each other; they are kept as they were sent",
  usage_missing: "no token counts came with it",
  usage_unknown: "its usage object has a shape that nobody knows",
};

/** How the classes of tokens are called. */
const CLASSES: Record<string, string> = {
  input_uncached: "Input, not cached",
  input_cache_read: "Cache reads",
  input_cache_write_5m: "Cache writes, 5 min",
  input_cache_write_30m: "Cache writes, 30 min",
  input_cache_write_1h: "Cache writes, 1 h",
  input_cache_write_12h: "Cache writes, 12 h",
  output: "Output",
  output_reasoning: "Reasoning, over output",
  input_audio: "Audio input, over text",
  input_audio_cache_read: "Cached audio, over text",
  output_audio: "Audio output, over text",
  web_searches: "Web searches",
  request: "Fee of the request",
};

const COST_COLUMNS: readonly Column<CostPart>[] = [
  { id: "class", label: "Cost", cell: (part) => CLASSES[part.class] ?? part.class },
  { id: "tokens", label: "Tokens", numeric: true, cell: (part) => (part.class === "request" ? "" : count(part.tokens)) },
  { id: "rate", label: "USD per 1M", numeric: true, className: "mid", cell: (part) => (part.price_per_million === null ? "" : priceText(part.price_per_million)) },
  { id: "amount", label: "USD", numeric: true, cell: (part) => <span className="strong">{amountText(part.amount, "part")}</span> },
];

function Cost({ event }: { event: Event }) {
  const { cost, cost_parts: parts, price_status: status } = event;
  const { data: me } = useMe();
  const prices = usePrices();
  if (event.type !== "llm" && cost === null) {
    return (
      <p className="panel-note">
        <NotApplicable /> {event.type === "tool" ? "A tool call of your own costs nothing here." : "Cost does not apply to this."}
      </p>
    );
  }
  if (status === "unpriced") {
    return (
      <div className="panel-note">
        <Mark kind="unpriced">no price</Mark>
        <p>
          {event.flags.includes("usage_missing")
            ? "The call ended without a usage object, so its cost is unknown. It is counted, and in no sum."
            : "No price of this model is known. The call is counted, and in no sum."}
        </p>
        {parts.length === 0 && event.tokens > 0 && <p className="dim">{count(event.tokens)} tokens are waiting for it.</p>}
      </div>
    );
  }
  const cells = {
    class: "Total",
    tokens: count(event.tokens),
    amount: (
      <>
        {status === "estimated" && <Wave />}
        {cost === null ? "–" : status === "free" ? <Mark kind="free">free</Mark> : dollarText(cost, nanos(cost) === 0n ? "table" : "part")}
      </>
    ),
  };
  return (
    <>
      <Table caption="What this event cost, by class of token" className="cost" columns={COST_COLUMNS} rows={parts} rowKey={(part) => part.class} foot={[{ kind: "total", cells }]} />
      <p className="panel-source">{sourceOf(event, parts, me?.price_book === event.price_version ? prices : null)}</p>
    </>
  );
}

/** Where the price is from: its id, and the day of its data; an older book is known by its version alone. */
function sourceOf(event: Event, parts: readonly CostPart[], day: string | null): string {
  const named = event.price_id === null ? "" : `, ${event.price_id}`;
  switch (event.price_status) {
    case "reported":
      return "As the provider reported it";
    case "estimated":
      return `Estimated: the stream was interrupted${named}`;
    case "free":
      return `The price is known and is zero${named}`;
    case "none":
      return event.status === "error" ? "Refused before it was billed" : "Nothing was billed";
    default:
      if (parts.length === 0) return `Priced${named}`;
      return `${day === null ? `Price book ${event.price_version.split("-").slice(0, 3).join("-")}` : `Price of ${day}`}${named}`;
  }
}

function Latency({ event }: { event: Event }) {
  const { latency_ms: whole, time_to_first_token_ms: first } = event;
  const streaming = whole !== null ? whole - (first ?? 0) : 0;
  return (
    <dl className="latency">
      <div>
        <dt>First token</dt>
        <dd>{first === null ? "–" : duration(first)}</dd>
      </div>
      <div>
        <dt>Total</dt>
        <dd>{whole === null ? "–" : duration(whole)}</dd>
      </div>
      <div>
        <dt>Output</dt>
        <dd>{event.output > 0 && streaming > 0 ? `${count(Math.round((event.output / streaming) * 1000))} tok/s` : "–"}</dd>
      </div>
      <div>
        <dt>Stop</dt>
        <dd className="clip">{event.finish_reason ?? (event.status === "ok" ? "–" : event.status)}</dd>
      </div>
    </dl>
  );
}

/** What was said, as plain text; where it is absent, why. */
function Said({ event }: { event: Event }) {
  const { data: me } = useMe();
  const absent = absentReason(event.prompt) ?? absentReason(event.response) ?? absentReason(event.tool_arguments);
  if (absent !== null) return <NotStored reason={absent} />;
  const kept = event.privacy === "standard" ? "redacted before storage (privacy: standard)" : `privacy: ${event.privacy}`;
  const prompt = messagesOf(event.prompt);
  const response = messagesOf(event.response);
  const isTool = event.type === "tool";
  if (me?.show_prompts === false) return <NotStored reason="this view does not show it" />;
  return (
    <>
      {event.error_message != null && (
        <>
          <h3>Error</h3>
          <Message by={event.error_code ?? "error"} text={typeof event.error_message === "string" ? event.error_message : JSON.stringify(event.error_message)} />
        </>
      )}
      {!isTool && event.type === "llm" && (
        <>
          <h3>
            Prompt
            <small>{prompt.length > 0 ? `${plural(prompt.length, "message")}, ${count(event.tokens - event.output)} tokens` : ""}</small>
          </h3>
          {prompt.length === 0 && <p className="dim">No text was sent with this call.</p>}
          {prompt.map((message, index) => (
            <Body key={index} message={message} folds={index < prompt.length - 1 && message.role !== "user"} />
          ))}
          <h3>
            Response
            <small>{response.length > 0 ? kept : ""}</small>
          </h3>
          {response.length === 0 && <p className="dim">No text came back with this call.</p>}
          {response.map((message, index) => (
            <Body key={index} message={message} folds={false} />
          ))}
        </>
      )}
      {isTool && (
        <>
          <h3>Arguments</h3>
          <Given value={event.tool_arguments} none="No arguments were sent with this call." />
          <h3>
            Result
            <small>{event.tool_result == null ? "" : kept}</small>
          </h3>
          <Given value={event.tool_result} none="No result was sent with this call." />
        </>
      )}
      {event.logs != null && (
        <>
          <h3>Logs</h3>
          <Given value={event.logs} none="" />
        </>
      )}
    </>
  );
}

function Given({ value, none }: { value: unknown; none: string }) {
  if (value == null) return <p className="dim">{none}</p>;
  return <Message by={null} text={typeof value === "string" ? value : JSON.stringify(value, null, 2)} mono={typeof value !== "string"} />;
}
