import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { STALE_MS, asked, useMe } from "../api/answers";
import { API, type Problem, address, get } from "../api/client";
import type { Answer, Check, CheckName, Diagnosis, DiagnosisState, Row } from "../api/types";
import { plural } from "../format/count";
import { clock, dayAndClock, lastSeen } from "../format/time";
import { Segments } from "../parts/controls";
import { Icon } from "../parts/icon";
import { copy, toast } from "../parts/toast";
import { useScope } from "../state/address";
import { useNow } from "../state/now";
import { type Filter, type Scope, filterWords, withFilter } from "../state/scope";
import { windowName } from "../state/windows";
import { type Language, LANGUAGES, snippet } from "./snippets";

const ASKS_MS = 2_000;

/** No user to show: the page says why, from the data, and flips by itself when the first event arrives. */
export function Empty({ scope, unattributed }: { scope: Scope; unattributed: Row | null }) {
  const client = useQueryClient();
  const pairs = asked(scope, [], { compare: false });
  const { data, dataUpdatedAt } = useQuery<Answer<Diagnosis>, Problem>({
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
  const shown = diagnosis?.state ?? (unattributed && unattributed.events > 0 ? "no_user" : null);
  return (
    <div className="page">
      <div className="diagnosis">
        <div>
          <h1>{headline(shown, diagnosis, unattributed)}</h1>
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
            <FirstEvent state={shown} askedAt={dataUpdatedAt} />
          )}
        </div>
      </div>
    </div>
  );
}

/** The headline is the cause. */
function headline(state: DiagnosisState | null, diagnosis: Diagnosis | null, unattributed: Row | null): string {
  const events = countOf(diagnosis, "events") ?? unattributed?.events ?? 0;
  switch (state) {
    case "key_unused":
    case "no_events":
      return "No users yet, because no event has arrived";
    case "no_trace":
      return `${plural(events, "event")} arrived, but none inside a trace`;
    case "no_user":
      return `${plural(events, "event")} arrived, but none says whose`;
    case "outside_window":
      return "No user in this window; there are some outside it";
    case "filtered_out":
      return "No user is left by these filters";
    case "ok":
      return "The first event arrived";
    case null:
      return "No user in this window";
  }
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
        ? { title: "Not in this window", detail: `${name}, ${dates}. ${seen}.` }
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

function OtherWindow({ diagnosis }: { diagnosis: Diagnosis }) {
  const [scope, setScope] = useScope();
  const now = useNow();
  const at = diagnosis.last_at === null ? null : new Date(diagnosis.last_at);
  const preset = at === null || now.getTime() - at.getTime() < 28 * 86_400_000 ? "28d" : "90d";
  return (
    <div className="fail">
      <h3>There are events, at another time</h3>
      <p>
        {at === null ? "None of them lies in the window above." : `The last one was at ${dayAndClock(at, now, scope.tz)}.`}
      </p>
      <div className="fail-actions">
        <button type="button" className="button solid" onClick={() => setScope({ ...scope, window: { preset } })}>
          Switch to {preset === "28d" ? "28" : "90"} days
        </button>
      </div>
    </div>
  );
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

