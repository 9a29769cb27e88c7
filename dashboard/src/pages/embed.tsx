import { type RefObject, useEffect, useRef, useState } from "react";
import { asked, useAnswer } from "../api/answers";
import { Problem, post, setCredential } from "../api/client";
import type { EmbedSession, User, UsersAnswer } from "../api/types";
import { contrast, isHex } from "../format/contrast";
import { count, tokens } from "../format/count";
import { dollarText } from "../format/money";
import { clock } from "../format/time";
import { Spark } from "../charts/spark";
import { Amount, UnpricedMark, madeOf } from "../parts/amount";
import { LastSeen, Name, ShareAlone, ShareBar } from "../parts/bits";
import { Answered } from "../parts/card";
import { Export } from "../parts/controls";
import { Change } from "../parts/delta";
import { Logo } from "../parts/icon";
import { KpiSkeleton, Kpis } from "../parts/kpi";
import { type Column, type FootRow, Ledger, LedgerSkeleton } from "../parts/ledger";
import { shareOf, slotOf, spendNumber } from "../parts/money-columns";
import { PAGE_ROWS, Pager } from "../parts/pager";
import { LockedPill } from "../parts/pills";
import { WindowControl } from "../parts/window-control";
import { useParams, useScope } from "../state/address";
import { freshness, useLiveRefresh } from "../state/freshness";
import { useNow } from "../state/now";
import { usePaging } from "../state/paging";
import { optional } from "../state/scope";
import { useStore } from "../state/store";
import { useQueryClient } from "@tanstack/react-query";

type Entry = { readonly session: EmbedSession } | { readonly refused: string } | null;

/** Framed by a vendor's own page: no rail, no chrome, a locked pill. The token comes in the fragment and is traded at once. */
export function Embed() {
  const [entry, setEntry] = useState<Entry>(null);
  const frame = useRef<HTMLElement>(null);
  const tried = useRef(false);
  useEffect(() => {
    if (tried.current) return;
    tried.current = true;
    document.title = "AI usage";
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    history.replaceState(null, "", location.pathname + location.search);
    void trade(token).then(setEntry);
  }, []);
  const accent = entry && "session" in entry ? entry.session.accent : null;
  useAccent(accent);
  useHeightMessages(frame, entry && "session" in entry ? entry.session.origins : []);
  return (
    <main className="embed" ref={frame}>
      {entry === null ? (
        <h1 className="hidden">AI usage</h1>
      ) : "refused" in entry ? (
        <>
          <h1>AI usage</h1>
          <div className="fail" role="alert">
            <p>{entry.refused}</p>
          </div>
        </>
      ) : (
        <Usage session={entry.session} />
      )}
    </main>
  );
}

async function trade(token: string | null): Promise<Entry> {
  if (token === null) return { refused: "This view opens from the page of your provider." };
  try {
    const answer = await post("v1/embed/session", { token });
    const session = (await answer.json()) as EmbedSession;
    setCredential(session.credential);
    return { session };
  } catch (error) {
    return { refused: error instanceof Problem && error.status === 401 ? "This view has expired. Load the page again." : "This view could not be opened. Try again in a moment." };
  }
}

/** The host's accent, where it can be read: below 4.5 to 1 on the surface it is refused. */
function useAccent(accent: string | null): void {
  useEffect(() => {
    if (accent === null || !isHex(accent)) return;
    const root = document.documentElement;
    const surface = getComputedStyle(document.body).backgroundColor;
    if (contrast(accent, surface) < 4.5) return;
    root.style.setProperty("--accent", accent);
    root.style.setProperty("--fill", accent);
    return () => {
      root.style.removeProperty("--accent");
      root.style.removeProperty("--fill");
    };
  }, [accent]);
}

/** The host learns the height, and nothing else; every message to this page is ignored. */
function useHeightMessages(frame: RefObject<HTMLElement | null>, origins: readonly string[]): void {
  useEffect(() => {
    const element = frame.current;
    if (!element || window.parent === window) return;
    const observer = new ResizeObserver(() => {
      for (const origin of origins) window.parent.postMessage({ type: "percapita:height", height: Math.ceil(element.getBoundingClientRect().height) }, origin);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, [frame, origins]);
}

function Usage({ session }: { session: EmbedSession }) {
  useLiveRefresh(useQueryClient());
  const [params, change] = useParams();
  const [scope] = useScope();
  const paging = usePaging();
  const { asOf } = useStore(freshness);
  const sort = params.get("sort") ?? "-spend";
  const sorted = optional("sort", sort === "-spend" ? null : sort);
  const own = asked(scope, [["limit", String(PAGE_ROWS)], ["include", "spark"], ...sorted]);
  const answer = useAnswer<UsersAnswer>("users", [...own, ...optional("cursor", paging.cursor)]);
  const word = session.wording;
  const many = word.toLowerCase() === "person" ? "people" : `${word}s`;
  return (
    <>
      <div className="head">
        <h1>AI usage</h1>
        {Object.entries(session.restriction).map(([field, value]) => (
          <LockedPill key={field} field={field} value={value} />
        ))}
        <div className="tools">
          <WindowControl />
          <Export path="users" pairs={asked(scope, sorted)} name="usage" />
        </div>
      </div>
      <Answered
        answer={answer}
        what="This view"
        skeleton={
          <>
            <KpiSkeleton labels={["Spend", titled(many), `Per ${word}`, "Traces"]} />
            <LedgerSkeleton columns={[{ label: titled(word), width: 150 }, { label: "Spend, USD", numeric: true }, { label: "Share", numeric: true }, { label: "Daily" }, { label: "Traces", numeric: true }]} rows={7} />
          </>
        }
      >
        {(body) => (
          <>
            <UsageKpis body={body} word={word} many={many} compared={scope.compare && body.meta.previous != null} />
            <UsageTable
              body={body}
              word={word}
              sort={sort}
              onSort={(column, descending) => change({ sort: descending && column === "spend" ? null : (descending ? "-" : "") + column, cursor: null, page: null })}
            />
            <Pager paging={paging} nextCursor={body.next_cursor}>
              <span className="live" /> {asOf === null ? "" : `As of ${clock(asOf, scope.tz)}. `}Times in {scope.tz}.
            </Pager>
          </>
        )}
      </Answered>
      <p className="embed-by">
        <Logo />
        Percapita
      </p>
    </>
  );
}

function UsageKpis({ body, word, many, compared }: { body: UsersAnswer; word: string; many: string; compared: boolean }) {
  const { totals } = body;
  const before = compared ? totals.previous : undefined;
  return (
    <Kpis
      kpis={[
        {
          label: "Spend",
          value: totals.spend === null ? "–" : <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />,
          now: totals.spend,
          before: before?.spend,
          beforeText: before?.spend == null ? undefined : dollarText(before.spend),
        },
        { label: titled(many), value: count(totals.users), now: totals.users, before: before?.users, beforeText: before?.users == null ? undefined : count(before.users) },
        {
          label: `Per ${word}`,
          value: totals.mean_spend === null ? "–" : <Amount amount={totals.mean_spend} sign focusable />,
          note: totals.median_spend === null ? null : `median ${dollarText(totals.median_spend)}`,
        },
        { label: "Traces", value: count(totals.traces), now: totals.traces, before: before?.traces, beforeText: before == null ? undefined : count(before.traces) },
      ]}
    />
  );
}

function UsageTable({ body, word, sort, onSort }: { body: UsersAnswer; word: string; sort: string; onSort: (column: string, descending: boolean) => void }) {
  const [scope] = useScope();
  const now = useNow();
  const { data, totals, rest, unattributed } = body;
  const compared = scope.compare && body.meta.previous != null;
  const largest = Math.max(0, ...data.map(spendNumber));
  const others = totals.users - data.length;
  const columns: Column<User>[] = [
    {
      id: "user",
      label: titled(word),
      sort: "user_id",
      cell: (user) => (
        <div className="id-cell">
          <span className="id"><Name text={user.user_id} most={32} /></span>
          <UnpricedMark events={user.unpriced_events} />
        </div>
      ),
    },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf([...data, unattributed, totals]), cell: (user) => <Amount amount={user.spend} made={madeOf(user)} /> },
    ...(compared ? [{ id: "change", label: "Change", numeric: true, cell: (user: User) => <Change now={user.spend} before={user.previous ? user.previous.spend : null} money /> }] : []),
    { id: "share", label: "Share", numeric: true, sort: "share", cell: (user) => <ShareBar part={spendNumber(user)} largest={largest} share={shareOf(user, totals)} /> },
    { id: "daily", label: "Daily", cell: (user) => <Spark days={user.spark} /> },
    { id: "traces", label: "Traces", numeric: true, sort: "traces", cell: (user) => count(user.traces) },
    { id: "tokens", label: "Tokens", numeric: true, sort: "tokens", cell: (user) => tokens(user.tokens) },
    { id: "seen", label: "Last seen", sort: "last_seen", className: "mid", cell: (user) => <LastSeen at={user.last_seen} now={now} tz={scope.tz} /> },
  ];
  const foot: FootRow[] = [];
  if (others > 0) foot.push({ kind: "rest", cells: { user: `${count(others)} more`, spend: <Amount amount={rest.spend} />, share: <ShareAlone of={shareOf(rest, totals)} />, daily: <Spark days={rest.spark} />, traces: count(rest.traces), tokens: tokens(rest.tokens) } });
  if (unattributed && unattributed.events > 0) {
    foot.push({
      kind: "unattributed",
      cells: {
        user: (
          <div className="id-cell">
            <span className="nobody">(unattributed)</span>
            <span className="second-label">work not tied to one {word}</span>
          </div>
        ),
        spend: <Amount amount={unattributed.spend} made={madeOf(unattributed)} />,
        share: <ShareBar part={spendNumber(unattributed)} largest={largest} share={shareOf(unattributed, totals)} hatched />,
        daily: <Spark days={unattributed.spark} />,
        traces: count(unattributed.traces),
        tokens: tokens(unattributed.tokens),
        seen: <LastSeen at={unattributed.last_seen} now={now} tz={scope.tz} />,
      },
    });
  }
  foot.push({
    kind: "total",
    cells: {
      user: "Total",
      spend: <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />,
      ...(compared ? { change: <Change now={totals.spend} before={totals.previous ? totals.previous.spend : null} /> } : {}),
      share: <ShareAlone of={1} />,
      traces: count(totals.traces),
      tokens: tokens(totals.tokens),
    },
  });
  return <Ledger caption={`Spend by ${word}`} columns={columns} rows={data} rowKey={(user) => user.user_id} foot={foot} sorting={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort }} />;
}

function titled(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
