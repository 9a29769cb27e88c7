import { asked, useAnswer, useMe } from "../api/answers";
import type { Row, User, UsersAnswer } from "../api/types";
import { useTagKeys } from "../api/values";
import { PerHeadBar, rowOver } from "../charts/per-head-bar";
import { Spark } from "../charts/spark";
import { count, plural, tokens } from "../format/count";
import { dollarText } from "../format/money";
import { Amount, UnpricedMark, madeOf } from "../parts/amount";
import { LastSeen, Name, ShareAlone, ShareBar, shortId } from "../parts/bits";
import { Answered } from "../parts/card";
import { CopyCurl, Export, type Exported, Segments } from "../parts/controls";
import { Change } from "../parts/delta";
import { Find } from "../parts/find";
import { type Kpi, KpiSkeleton, Kpis } from "../parts/kpi";
import { type Column, type FootRow, Ledger, LedgerSkeleton } from "../parts/ledger";
import { partOf, shareOf, slotOf, spendNumber } from "../parts/money-columns";
import { PAGE_ROWS, Pager } from "../parts/pager";
import { PageNotice } from "../parts/page-notice";
import { PhoneHead } from "../parts/phone-head";
import { PhoneList, PhoneListSkeleton } from "../parts/phone-list";
import { RowLink } from "../parts/row-link";
import { TagMenu } from "../parts/tag-menu";
import { useLink, useParams, useScope } from "../state/address";
import { useNow } from "../state/now";
import { usePaging } from "../state/paging";
import { usePhone } from "../state/phone";
import { type Pairs, optional } from "../state/scope";
import { daysOf } from "../state/windows";
import { dayInWords } from "../format/time";
import { Empty } from "./empty";
import { Groups } from "./groups";

/** A user above this many dollars is worth counting apart. */
export const ABOVE = "20";
const TABS = 3;

export function Users() {
  const [params, change] = useParams();
  const [scope] = useScope();
  const keys = useTagKeys(scope);
  const phone = usePhone();
  const { data: me } = useMe();
  const group = params.get("group");
  const tag = group?.startsWith("tag.") ? group.slice(4) : null;
  const tabs = [...new Set([...keys.slice(0, TABS), ...(tag === null ? [] : [tag])])];
  const sort = params.get("sort") ?? "-spend";
  const q = params.get("q") ?? "";
  const paging = usePaging();
  const asks = asked(scope, [["limit", String(PAGE_ROWS)], ["above", ABOVE], ["include", "spark"]]);
  const sorted = optional("sort", sort === "-spend" ? null : sort);
  const own: Pairs = [...sorted, ...optional("q", q || null)];
  const top = useAnswer<UsersAnswer>("users", asks);
  const page = useAnswer<UsersAnswer>("users", [...asks, ...own, ...optional("cursor", paging.cursor)], tag === null);
  const question = tag === null ? { path: "users", pairs: asked(scope, own) } : { path: "overview", pairs: asked(scope, [["group_by", `tag.${tag}`], ...sorted]) };
  const choose = (key: string | null): void => change({ group: key === null ? null : `tag.${key}`, sort: null, q: null, cursor: null, page: null });
  const word = me?.wording ?? "user";
  const exported: Exported = { ...question, name: tag ?? "users" };

  if (top.data?.totals.users === 0 && !top.isPlaceholderData && tag === null && q === "") return <Empty scope={scope} unattributed={top.data.unattributed} />;
  return (
    <div className="page">
      <div className="head">
        <h1>Users</h1>
        <PhoneHead exported={exported} />
        <Segments
          label="One row per"
          value={tag ?? ""}
          options={[{ value: "", label: titled(word) }, ...tabs.map((key) => ({ value: key, label: key }))]}
          onChoose={(key) => choose(key === "" ? null : key)}
        >
          <TagMenu keys={keys} chosen={tag} onChoose={choose} />
        </Segments>
        <div className="tools">
          {tag === null && <Find label={`Find a ${word}`} value={q} onFind={(text) => change({ q: text || null, cursor: null, page: null }, { replace: true })} />}
          <CopyCurl path={question.path} pairs={question.pairs} filters={scope.filters.length} />
          <Export {...exported} />
        </div>
      </div>
      <PageNotice meta={(tag === null ? page : top).data?.meta} />
      <Answered answer={top} what="The key figures" quiet={page.error !== null} skeleton={<KpiSkeleton labels={KPI_LABELS} />}>
        {(body) => <UserKpis body={body} compared={scope.compare} />}
      </Answered>
      {tag === null ? (
        <>
          <Answered answer={top} what="The bar" quiet skeleton={<div className="heads" />}>
            {(body) => <UserBar body={body} />}
          </Answered>
          <Answered answer={page} what="This table" skeleton={phone ? <PhoneListSkeleton rows={8} /> : <LedgerSkeleton columns={SKELETON} rows={12} />}>
            {(body) => (
              <UserTable
                body={body}
                sort={sort}
                onSort={(column, descending) => change({ sort: descending && column === "spend" ? null : (descending ? "-" : "") + column, cursor: null, page: null })}
                searched={q !== ""}
                paging={paging}
              />
            )}
          </Answered>
        </>
      ) : (
        <Groups tag={tag} mean={top.data?.totals.mean_spend} />
      )}
    </div>
  );
}

const KPI_LABELS = ["Spend per user", "Total spend", "Users", "Median user", `Users above $${ABOVE}`];
const SKELETON = [
  { label: "User", width: 168 },
  { label: "Spend, USD", numeric: true },
  { label: "Change", numeric: true, width: 38 },
  { label: "Share", numeric: true, width: 120 },
  { label: "Daily" },
  { label: "Traces", numeric: true, width: 38 },
  { label: "Tokens", numeric: true, width: 38 },
  { label: "Last seen", width: 64 },
  { label: "Top model", width: 110 },
];

function UserKpis({ body, compared }: { body: UsersAnswer; compared: boolean }) {
  const { totals } = body;
  const before = compared ? totals.previous : undefined;
  const money = (label: string, now: string | null, earlier: string | null | undefined, extra: Partial<Kpi> = {}): Kpi => ({
    label,
    value: now === null ? "–" : <Amount amount={now} sign focusable />,
    now,
    before: earlier,
    beforeText: earlier == null ? undefined : dollarText(earlier),
    ...extra,
  });
  const whole = (label: string, now: number, earlier: number | null | undefined): Kpi => ({
    label,
    value: count(now),
    now,
    before: earlier,
    beforeText: earlier == null ? undefined : count(earlier),
  });
  return (
    <Kpis
      kpis={[
        money("Spend per user", totals.mean_spend, before?.mean_spend),
        { ...money("Total spend", totals.spend, before?.spend), value: totals.spend === null ? "–" : <Amount amount={totals.spend} made={madeOf(totals)} sign focusable /> },
        whole("Users", totals.users, before?.users),
        money("Median user", totals.median_spend, before?.median_spend),
        whole(`Users above $${ABOVE}`, totals.users_above ?? 0, before?.users_above),
      ]}
    />
  );
}

function UserBar({ body }: { body: UsersAnswer }) {
  const link = useLink();
  const { data, totals, rest, unattributed } = body;
  const others = totals.users - data.length;
  return (
    <PerHeadBar
      label="All spend as one line, one segment a user, largest first"
      named={data.map((user) => ({ key: user.user_id, name: shortId(user.user_id), share: partOf(user, totals), href: link("users", user.user_id) }))}
      rest={others > 0 ? partOf(rest, totals) : 0}
      unattributed={unattributed ? partOf(unattributed, totals) : 0}
      labels={{ named: others > 0 ? `the ${data.length} largest users` : plural(data.length, "user"), rest: `${count(others)} more ${others === 1 ? "user" : "users"}`, unattributed: "(unattributed)" }}
    />
  );
}

function UserTable({
  body,
  sort,
  onSort,
  searched,
  paging,
}: {
  body: UsersAnswer;
  sort: string;
  onSort: (column: string, descending: boolean) => void;
  searched: boolean;
  paging: ReturnType<typeof usePaging>;
}) {
  const [scope] = useScope();
  const link = useLink();
  const now = useNow();
  const phone = usePhone();
  const { data, totals, rest, unattributed, next_cursor } = body;
  const others = totals.users - data.length;
  const shown = [...data, ...(others > 0 ? [rest] : []), unattributed, totals];
  const largest = Math.max(...data.map(spendNumber), 0);
  const compared = scope.compare && body.meta.previous != null;
  const first = (paging.page - 1) * PAGE_ROWS + 1;
  const foot = footRows(body, others, scope.compare ? compared : false, largest, searched, paging.page > 1);

  const columns: Column<User>[] = [
    {
      id: "user",
      label: "User",
      sort: "user_id",
      cell: (user) => (
        <div className="id-cell">
          <RowLink to={link("users", user.user_id)} id={user.user_id} most={24} />
          {user.label !== null && <span className="second-label">{user.label}</span>}
          <UnpricedMark events={user.unpriced_events} />
        </div>
      ),
    },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf(shown), cell: (user) => <Amount amount={user.spend} made={madeOf(user)} /> },
    ...(compared ? [{ id: "change", label: "Change", numeric: true, cell: (user: User) => <Change now={user.spend} before={user.previous ? user.previous.spend : null} money /> }] : []),
    { id: "share", label: "Share", numeric: true, sort: "share", cell: (user) => <ShareBar part={spendNumber(user)} largest={largest} share={shareOf(user, totals)} /> },
    { id: "daily", label: "Daily", cell: (user) => <Spark days={user.spark} /> },
    { id: "traces", label: "Traces", numeric: true, sort: "traces", cell: (user) => count(user.traces) },
    { id: "tokens", label: "Tokens", numeric: true, sort: "tokens", cell: (user) => tokens(user.tokens) },
    { id: "seen", label: "Last seen", sort: "last_seen", className: "mid", cell: (user) => <LastSeen at={user.last_seen} now={now} tz={scope.tz} /> },
    { id: "model", label: "Top model", sort: "top_model", className: "mono mid", cell: (user) => user.top_model !== null && <Name text={user.top_model} /> },
  ];
  const days = daysOf(scope.window, now, scope.tz);
  if (data.length === 0) {
    return <p className="nothing">{searched ? "No user's id holds that text in this window." : "No user in this window."}</p>;
  }
  return (
    <>
      {phone ? (
        <PhoneList
          rows={data.map((user) => ({
            key: user.user_id,
            href: link("users", user.user_id),
            name: user.user_id,
            amount: <Amount amount={user.spend} made={madeOf(user)} />,
            share: shareOf(user, totals),
            part: spendNumber(user),
            note: user.unpriced_events > 0 ? <UnpricedMark events={user.unpriced_events} /> : <LastSeen at={user.last_seen} now={now} tz={scope.tz} />,
            change: compared ? <Change now={user.spend} before={user.previous ? user.previous.spend : null} money /> : null,
          }))}
          largest={largest}
          count={plural(totals.users, "user")}
          rest={others > 0 ? { name: `${count(others)} ${paging.page > 1 ? "other" : "more"} users`, amount: <Amount amount={rest.spend} made={madeOf(rest)} /> } : null}
          unattributed={unattributed ? <Amount amount={unattributed.spend} made={madeOf(unattributed)} /> : null}
          total={<Amount amount={totals.spend} made={madeOf(totals)} sign />}
          sort={sort}
          onSort={(column) => onSort(column, true)}
        />
      ) : (
        <Ledger
          caption={`Spend by user, ${dayInWords(days.from)} to ${dayInWords(days.last)}`}
          columns={columns}
          rows={data}
          rowKey={(user) => user.user_id}
          rowId={(user) => user.user_id}
          rowHref={(user) => link("users", user.user_id)}
          foot={foot}
          sorting={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort }}
          onRowOver={rowOver.set}
        />
      )}
      <Pager paging={paging} nextCursor={next_cursor}>
        {first} – {first + data.length - 1} of {plural(totals.users, "user")}.
        <span className="wide-only">{searched ? " Totals are of the users found." : " The rows add up to the total exactly; the same total stands on Overview."}</span>
      </Pager>
    </>
  );
}

function footRows(body: UsersAnswer, others: number, compared: boolean, largest: number, searched: boolean, later: boolean): FootRow[] {
  const { totals, rest, unattributed } = body;
  const rows: FootRow[] = [];
  const change = (row: Row) => (compared ? { change: <Change now={row.spend} before={row.previous ? row.previous.spend : null} /> } : {});
  if (others > 0) {
    rows.push({
      kind: "rest",
      cells: {
        user: <>{`${count(others)} ${later ? "other" : "more"} ${others === 1 ? "user" : "users"}`} <UnpricedMark events={rest.unpriced_events} /></>,
        spend: <Amount amount={rest.spend} made={madeOf(rest)} />,
        ...change(rest),
        share: <ShareAlone of={shareOf(rest, totals)} />,
        daily: <Spark days={rest.spark} />,
        traces: count(rest.traces),
        tokens: tokens(rest.tokens),
      },
    });
  }
  if (unattributed && unattributed.events > 0) {
    rows.push({
      kind: "unattributed",
      cells: {
        user: (
          <div className="id-cell">
            <span className="nobody">(unattributed)</span>
            <span className="second-label" title="no userId on these calls">
              no userId on these calls
            </span>
            <UnpricedMark events={unattributed.unpriced_events} />
          </div>
        ),
        spend: <Amount amount={unattributed.spend} made={madeOf(unattributed)} />,
        ...change(unattributed),
        share: <ShareBar part={spendNumber(unattributed)} largest={largest} share={shareOf(unattributed, totals)} hatched />,
        daily: <Spark days={unattributed.spark} />,
        traces: count(unattributed.traces),
        tokens: tokens(unattributed.tokens),
        seen: <SeenCell at={unattributed.last_seen} />,
      },
    });
  }
  rows.push({
    kind: "total",
    cells: {
      user: searched ? "Total of these" : "Total",
      spend: <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />,
      ...change(totals),
      share: <ShareAlone of={1} />,
      traces: count(totals.traces),
      tokens: tokens(totals.tokens),
    },
  });
  return rows;
}

function SeenCell({ at }: { at: string | null }) {
  const [{ tz }] = useScope();
  const now = useNow();
  return <span className="mid"><LastSeen at={at} now={now} tz={tz} /></span>;
}

function titled(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
