import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { STALE_MS, asked, useAnswer, useMe } from "../api/answers";
import { API, type Problem, address, get } from "../api/client";
import type { Answer, Check, CheckName, Diagnosis, DiagnosisState, Row, TagsAnswer } from "../api/types";
import { plural } from "../format/count";
import { clock, dayAndClock, daysAgo, lastSeen } from "../format/time";
import { Segments } from "../parts/controls";
import { Icon } from "../parts/icon";
import { PageNotice } from "../parts/page-notice";
import { copy, toast } from "../parts/toast";
import { useScope } from "../state/address";
import { useNow } from "../state/now";
import { type Filter, type Scope, filterWords, withFilter } from "../state/scope";
import { windowAround, windowName, windowWords } from "../state/windows";
import { type Language, LANGUAGES, snippet } from "./snippets";

const ASKS_MS = 2_000;

/**
 * Nothing to show: the page says why, from the data, and flips by itself when the first event arrives. `unattributed` is what
 * Users has of nobody; where users are not what is listed it is null. `otherwise` is the headline where every check passes and there
 * is nothing all the same: events that say whose they are, outside any trace.
 */
export function Empty({ scope, unattributed, otherwise }: { scope: Scope; unattributed: Row | null; otherwise?: string }) {
  const now = useNow();
  const client = useQueryClient();
  const pairs = asked(scope, [], { compare: false });
  const { data, dataUpdatedAt, error } = useQuery<Answer<Diagnosis>, Problem>({
    queryKey: ["diagnosis", pairs],
    queryFn: ({ signal }) => get<Answer<Diagnosis>>(`${API}/diagnosis`, pairs, signal),
    refetchInterval: ASKS_MS,
    staleTime: STALE_MS,
  });
  const state = data?.data.state;
  const waited = useRef(false);
  useEffect(() => {
    if (state !== undefined && state !== "ok") waited.current = true;
    if (state !== "ok" || !waited.current) return;
    waited.current = false;
    toast("The first event arrived");
    void client.invalidateQueries();
  }, [state, client]);

  const diagnosis: Diagnosis | null = data?.data ?? null;
  // Until the cause is known none is named: words that change would have been untrue.
  if (diagnosis === null && !error) return <Unknown />;
  const passes = diagnosis?.state === "ok" && otherwise !== undefined;
  const shown = passes ? "no_trace" : diagnosis?.state ?? (unattributed && unattributed.events > 0 ? "no_user" : null);
  return (
    <div className="page">
      <PageNotice meta={data?.meta} />
      <div className="diagnosis">
        <div>
          <h1>{passes ? otherwise : shown === "outside_window" ? elsewhere(diagnosis, scope, now, unattributed !== null) : headline(shown, diagnosis, unattributed)}</h1>
          <p>
            Percapita shows a user as soon as one LLM call carries a <code>userId</code> tag inside a trace. This is how far yours have come.
          </p>
          {diagnosis && <Checks diagnosis={diagnosis} />}
        </div>
        <div>
          {diagnosis?.state === "filtered_out" ? (
            <WithoutPills diagnosis={diagnosis} />
          ) : diagnosis?.state === "outside_window" ? (
            <OtherWindow diagnosis={diagnosis} />
          ) : (
            <>
              {shown === "no_user" && <TagsSeen scope={scope} />}
              <FirstEvent state={shown} askedAt={dataUpdatedAt} />
            </>
          )}
        </div>
      </div>
    </div>
  );
}

const CHECKS = 6;

/** The diagnosis as it will stand, without its words. */
function Unknown() {
  return (
    <div className="page">
      <div className="diagnosis" aria-busy="true">
        <div>
          <h1 className="hidden">Looking for what is missing</h1>
          <Line width={320} height={22} />
          <ul className="checks">
            {Array.from({ length: CHECKS }, (_, check) => (
              <li key={check}>
                <span />
                <Line width={200} height={38} />
              </li>
            ))}
          </ul>
        </div>
      </div>
    </div>
  );
}

function Line({ width, height }: { width: number; height: number }) {
  return (
    <svg className="skeleton" width={width} height={height} aria-hidden="true">
      <rect y={height / 2 - 6} width={width} height="12" rx="3" />
    </svg>
  );
}

/** The headline is the cause. */
function headline(state: Exclude<DiagnosisState, "outside_window"> | null, diagnosis: Diagnosis | null, unattributed: Row | null): string {
  const events = countOf(diagnosis, "events") ?? unattributed?.events ?? 0;
  switch (state) {
    case "key_unused":
    case "no_events":
      return "No users yet, because no event has arrived";
    case "no_trace":
      return `${plural(events, "event")} arrived, but none inside a trace`;
    case "no_user":
      return `${plural(events, "event")} arrived, but none says whose`;
    case "filtered_out":
      return "No user is left by these filters";
    case "ok":
      return "The first event arrived";
    case null:
      return "No user in this window";
  }
}

/** There is something, at another time: when the newest of it was. */
function elsewhere(diagnosis: Diagnosis | null, scope: Scope, now: Date, users: boolean): string {
  const at = newest(diagnosis);
  const none = `No ${users ? "user" : "event"} ${windowWords(scope.window, now, scope.tz)}`;
  return at === null ? none : `${none}; the last was ${daysAgo(at, now, scope.tz)}`;
}

/** Of the events that say whose they are, which is what windows are searched for. */
function newest(diagnosis: Diagnosis | null): Date | null {
  const at = diagnosis?.checks.find((check) => check.check === "with_user")?.last_at ?? null;
  return at === null ? null : new Date(at);
}

function countOf(diagnosis: Diagnosis | null, name: CheckName): number | null {
  return diagnosis?.checks.find((check) => check.check === name)?.count ?? null;
}

/** Six checks in order; the first that fails is lit, those after it wait. */
function Checks({ diagnosis }: { diagnosis: Diagnosis }) {
  const [scope] = useScope();
  const now = useNow();
  const cause = diagnosis.checks.findIndex((check) => !check.ok);
  return (
    <ul className="checks">
      {diagnosis.checks.map((check, index) => {
        const state = cause < 0 || index < cause ? "ok" : index === cause ? "cause" : "wait";
        const { title, detail } = checkWords(check, state, scope, now);
        return (
          <li key={check.check} className={state}>
            <Icon name={state === "ok" ? "check" : state === "cause" ? "warning" : "waiting"} />
            <div>
              <b>{title}</b>
              <p>{detail}</p>
            </div>
            <span className="dim">{state === "wait" ? "" : evidence(check, scope, now)}</span>
          </li>
        );
      })}
    </ul>
  );
}

function evidence(check: Check, scope: Scope, now: Date): string {
  if (check.check === "key_used") return check.last_at === null ? "never used" : dayAndClock(new Date(check.last_at), now, scope.tz);
  if (check.check === "filters") return scope.filters.length > 0 ? plural(scope.filters.length, "filter") : "none";
  return plural(check.count, check.check === "in_trace" ? "trace" : "event");
}

function checkWords(check: Check, state: "ok" | "cause" | "wait", scope: Scope, now: Date): { title: string; detail: string } {
  const failed = state === "cause";
  const seen = check.last_at === null ? "" : `Last one ${lastSeen(new Date(check.last_at), now, scope.tz)}`;
  const { name, dates } = windowName(scope.window, now, scope.tz);
  switch (check.check) {
    case "key_used":
      return failed
        ? { title: "No key has been used", detail: "Nothing was sent with an ingest key of this account yet." }
        : { title: "A key that can write was used", detail: "The collector answers it" };
    case "events":
      return failed
        ? { title: "No event has arrived", detail: "Send the event on the right, or deploy the wrapper." }
        : { title: "Events arrive", detail: seen || "By the wrapper, over OTLP, or by hand" };
    case "in_trace":
      return failed
        ? { title: "No event stands in a trace", detail: "Open one with with_trace(…) at the request boundary." }
        : { title: "Inside a trace", detail: state === "ok" ? seen : "with_trace(…) at the request boundary" };
    case "with_user":
      return failed
        ? { title: "No event says whose it is", detail: 'Add the tag where the trace is opened: tags={"userId": user.id}.' }
        : { title: "With a userId", detail: state === "ok" ? seen : 'tags={"userId": user.id}' };
    case "in_window":
      return failed
        ? { title: "Not in this window", detail: seen === "" ? `${name}, ${dates}.` : `${name}, ${dates}. ${seen}.` }
        : { title: "Inside this window", detail: `${name}, ${dates}` };
    case "filters":
      return failed
        ? { title: "The filters leave nothing", detail: "Each on the right says what would be there without it." }
        : { title: "Left by the filters", detail: scope.filters.length > 0 ? "They leave something" : "No filter is set" };
  }
}

/** One filter fewer, with the count that it would give. */
function WithoutPills({ diagnosis }: { diagnosis: Diagnosis }) {
  const [scope, setScope] = useScope();
  return (
    <div className="fail">
      <h3>Without one of the filters there would be</h3>
      <div className="fail-actions">
        {diagnosis.filters.map(({ filter: name, values, events }) => {
          const filter: Filter = { field: name.replace(/!$/, ""), exclude: name.endsWith("!"), values };
          const { field, verb, values: listed } = filterWords(filter);
          return (
            <button key={name} type="button" className="pill remove" onClick={() => setScope({ ...scope, filters: withFilter(scope.filters, { ...filter, values: [] }) })}>
              <Icon name="close" small />
              {field} {verb} {listed}
              <span className="dim">{plural(events, "event")}</span>
            </button>
          );
        })}
      </div>
    </div>
  );
}

/** The window that holds the newest event, a click away. */
function OtherWindow({ diagnosis }: { diagnosis: Diagnosis }) {
  const [scope, setScope] = useScope();
  const now = useNow();
  const at = newest(diagnosis);
  if (at === null) return null;
  const window = windowAround(at, now, scope.tz);
  const { name } = windowName(window, now, scope.tz);
  return (
    <div className="fail">
      <h3>There are events, at another time</h3>
      <p>
        {plural(countOf(diagnosis, "with_user") ?? 0, "event")} in all; the newest is of {dayAndClock(at, now, scope.tz)}.
      </p>
      <div className="fail-actions">
        <button type="button" className="button solid" onClick={() => setScope({ ...scope, window })}>
          Switch to {"preset" in window ? name.replace(/^L/, "l") : name}
        </button>
      </div>
    </div>
  );
}

/** The tag may be there under another name. */
function TagsSeen({ scope }: { scope: Scope }) {
  const { data } = useAnswer<TagsAnswer>("tags", asked(scope, [["limit", "50"], ["sort", "-events"]], { compare: false }));
  const tags = data?.data ?? [];
  if (tags.length === 0) return null;
  const close = tags.find((tag) => closest(tag.key));
  return (
    <p className="tags-seen">
      Tags seen: {tags.slice(0, TAGS_NAMED).map((tag) => tag.key).join(", ")}.{close && ` Closest is ${close.key}, on ${plural(close.events, "event")}; Percapita reads userId, spelled like this.`}
    </p>
  );
}

const TAGS_NAMED = 6;

function closest(key: string): boolean {
  return /^(end_?)?user|^uid$|customer/i.test(key);
}

function FirstEvent({ state, askedAt }: { state: DiagnosisState | null; askedAt: number }) {
  const [scope] = useScope();
  const { data: me } = useMe();
  const [chosen, setLanguage] = useState<Language | null>(null);
  // Who sends already needs the lines that open a trace, not a first event by hand.
  const language = chosen ?? (state === "no_trace" || state === "no_user" ? "Python" : "curl");
  const text = snippet(language, me?.ingest_url ?? address("v1/events"));
  return (
    <>
      <div className="code">
        <header>
          <Segments small label="Language" value={language} options={LANGUAGES.map((value) => ({ value, label: value }))} onChoose={setLanguage} />
          <button type="button" className="button quiet" onClick={() => void copy(text, `${language} copied`)}>
            <Icon name="copy" />
            Copy
          </button>
        </header>
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls sideways */}
        <pre tabIndex={0}>{text}</pre>
      </div>
      <div className={state === "ok" ? "waiting arrived" : "waiting"} role="status">
        <span className="pulse" />
        <span>{state === "no_trace" ? "Waiting for the first trace" : state === "no_user" ? "Waiting for the first userId" : "Waiting for the first event"}</span>
        <span className="waiting-note">{askedAt > 0 ? `asked at ${clock(new Date(askedAt), scope.tz)}, ` : ""}this page flips by itself</span>
      </div>
    </>
  );
}

