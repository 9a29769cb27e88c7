import { asked, useAnswer } from "../api/answers";
import type { Group, GroupsAnswer, Row } from "../api/types";
import { PerHeadBar, rowOver } from "../charts/per-head-bar";
import { Spark } from "../charts/spark";
import { count, plural, tokens } from "../format/count";
import { Amount, NotApplicable, UnpricedMark, madeOf } from "../parts/amount";
import { A, LastSeen, ShareAlone, ShareBar } from "../parts/bits";
import { Answered } from "../parts/card";
import { Change } from "../parts/delta";
import { type Column, Ledger, LedgerSkeleton, type FootRow } from "../parts/ledger";
import { partOf, shareOf, slotOf, spendNumber } from "../parts/money-columns";
import { PAGE_ROWS, Pager } from "../parts/pager";
import { PhoneList, PhoneListSkeleton } from "../parts/phone-list";
import { RowLink } from "../parts/row-link";
import { href, pathOf, useLink, useParams, useScope } from "../state/address";
import { useNow } from "../state/now";
import { usePaging } from "../state/paging";
import { usePhone } from "../state/phone";
import { type Filter, optional, scopePairs, valueName, withFilter } from "../state/scope";
import { useMeans } from "../api/means";

/** One row per value of a tag. A value opens the users who have it. */
export function Groups({ tag, mean }: { tag: string; mean: string | null | undefined }) {
  const [params, change] = useParams();
  const [scope] = useScope();
  const paging = usePaging();
  const phone = usePhone();
  const sort = params.get("sort") ?? "-spend";
  const field = `tag.${tag}`;
  const answer = useAnswer<GroupsAnswer>(
    "overview",
    asked(scope, [
      ["group_by", field],
      ["limit", String(PAGE_ROWS)],
      ["include", "spark"],
      ...optional("sort", sort === "-spend" ? null : sort),
      ...optional("cursor", paging.cursor),
    ]),
  );
  return (
    <Answered answer={answer} what="This table" skeleton={phone ? <PhoneListSkeleton rows={8} /> : <LedgerSkeleton columns={SKELETON} rows={8} />}>
      {(body) => (
        <GroupTable
          tag={tag}
          mean={mean}
          body={body}
          sort={sort}
          onSort={(column, descending) => change({ sort: descending && column === "spend" ? null : (descending ? "-" : "") + column, cursor: null, page: null })}
        />
      )}
    </Answered>
  );
}

const SKELETON = [
  { label: "Value", width: 120 },
  { label: "Spend, USD", numeric: true },
  { label: "Change", numeric: true, width: 38 },
  { label: "Share", numeric: true, width: 120 },
  { label: "Daily" },
  { label: "Users", numeric: true, width: 38 },
  { label: "Per user", numeric: true },
  { label: "Traces", numeric: true, width: 38 },
  { label: "Tokens", numeric: true, width: 38 },
  { label: "Last seen", width: 64 },
];

function GroupTable({ tag, mean, body, sort, onSort }: { tag: string; mean: string | null | undefined; body: GroupsAnswer; sort: string; onSort: (column: string, descending: boolean) => void }) {
  const [scope] = useScope();
  const link = useLink();
  const now = useNow();
  const phone = usePhone();
  const paging = usePaging();
  const { data, totals, rest, next_cursor } = body;
  const meanOf = useMeans(`tag.${tag}`, data);
  const hasRest = rest.events > 0;
  const compared = scope.compare && body.meta.previous != null;
  const largest = Math.max(0, ...data.map(spendNumber));
  const keyOf = (row: Group): string => row.key ?? "";
  const open = (row: Group): string => {
    const filter: Filter = { field: `tag.${tag}`, exclude: false, values: [keyOf(row)] };
    return href(pathOf("users"), scopePairs({ ...scope, filters: withFilter(scope.filters, filter) }));
  };
  const change = (row: Row) => <Change now={row.spend} before={row.previous ? row.previous.spend : null} money />;
  const columns: Column<Group>[] = [
    {
      id: "value",
      label: tag,
      sort: "key",
      cell: (row) => (
        <div className="id-cell">
          <RowLink to={open(row)} id={valueName(keyOf(row))} mono={false} />
          <UnpricedMark events={row.unpriced_events} />
        </div>
      ),
    },
    { id: "spend", label: "Spend, USD", numeric: true, sort: "spend", slot: slotOf([...data, rest, totals]), cell: (row) => <Amount amount={row.spend} made={madeOf(row)} /> },
    ...(compared ? [{ id: "change", label: "Change", numeric: true, cell: change }] : []),
    { id: "share", label: "Share", numeric: true, cell: (row) => <ShareBar part={spendNumber(row)} largest={largest} share={shareOf(row, totals)} hatched={row.key === null} /> },
    { id: "daily", label: "Daily", cell: (row) => <Spark days={row.spark} /> },
    { id: "users", label: "Users", numeric: true, sort: "users", cell: (row) => count(row.users) },
    { id: "mean", label: "Per user", numeric: true, className: "mid", cell: (row) => <Mean amount={meanOf(row.key)} /> },
    { id: "traces", label: "Traces", numeric: true, sort: "traces", cell: (row) => count(row.traces) },
    { id: "tokens", label: "Tokens", numeric: true, sort: "tokens", cell: (row) => tokens(row.tokens) },
    { id: "seen", label: "Last seen", sort: "last_seen", className: "mid", cell: (row) => <LastSeen at={row.last_seen} now={now} tz={scope.tz} /> },
  ];
  const foot: FootRow[] = [];
  if (hasRest) {
    foot.push({
      kind: "rest",
      cells: {
        value: paging.page > 1 ? "Other values" : "More values",
        spend: <Amount amount={rest.spend} made={madeOf(rest)} />,
        ...(compared ? { change: change(rest) } : {}),
        share: <ShareAlone of={shareOf(rest, totals)} />,
        daily: <Spark days={rest.spark} />,
        traces: count(rest.traces),
        tokens: tokens(rest.tokens),
      },
    });
  }
  foot.push({
    kind: "total",
    cells: {
      value: "Total",
      spend: <Amount amount={totals.spend} made={madeOf(totals)} sign focusable />,
      ...(compared ? { change: change(totals) } : {}),
      share: <ShareAlone of={1} />,
      mean: <Mean amount={mean} />,
      traces: count(totals.traces),
      tokens: tokens(totals.tokens),
    },
  });
  return (
    <>
      <PerHeadBar
        label={`All spend as one line, one segment a value of ${tag}, largest first`}
        named={data.filter((row) => row.key !== null).map((row) => ({ key: keyOf(row), name: valueName(keyOf(row)), share: partOf(row, totals), href: open(row) }))}
        rest={hasRest ? partOf(rest, totals) : 0}
        unattributed={data.filter((row) => row.key === null).reduce((sum, row) => sum + partOf(row, totals), 0)}
        labels={{ named: "the values below", rest: "more values", unattributed: `no ${tag}` }}
      />
      {phone ? (
        <PhoneList
          rows={data.map((row) => ({
            key: keyOf(row),
            href: open(row),
            name: valueName(keyOf(row)),
            amount: <Amount amount={row.spend} made={madeOf(row)} />,
            share: shareOf(row, totals),
            part: spendNumber(row),
            note: row.unpriced_events > 0 ? <UnpricedMark events={row.unpriced_events} /> : plural(row.users, "user"),
            change: compared ? change(row) : null,
          }))}
          largest={largest}
          count={plural(data.length, "value")}
          rest={hasRest ? { name: "More values", amount: <Amount amount={rest.spend} made={madeOf(rest)} /> } : null}
          unattributed={null}
          total={<Amount amount={totals.spend} made={madeOf(totals)} sign />}
        />
      ) : (
        <Ledger
          caption={`Spend by ${tag}`}
          columns={columns}
          rows={data}
          rowKey={keyOf}
          rowId={keyOf}
          rowHref={open}
          foot={foot}
          sorting={{ column: sort.replace(/^-/, ""), descending: sort.startsWith("-"), onSort }}
          onRowOver={rowOver.set}
        />
      )}
      <Pager paging={paging} nextCursor={next_cursor}>
        {plural(data.length, "value")} of {tag}. <span className="wide-only">A value opens its users; <code>(none)</code> is what was sent without this tag.</span>{" "}
        <A className="more" to={link("overview", null, [["by", `tag.${tag}`]])}>
          {tag} by day
        </A>
      </Pager>
    </>
  );
}

function Mean({ amount }: { amount: string | null | undefined }) {
  if (amount === undefined) return null;
  return amount === null ? <NotApplicable /> : <Amount amount={amount} />;
}
