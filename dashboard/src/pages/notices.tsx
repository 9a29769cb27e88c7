import { useNotices } from "../api/notices";
import type { Notice, NoticeKind } from "../api/types";
import { plural, count } from "../format/count";
import { dayAndClock, dayOf, shortDay } from "../format/time";
import { Failed } from "../parts/card";
import { Icon } from "../parts/icon";
import { PhoneHead } from "../parts/phone-head";
import { useScope } from "../state/address";
import { useNow } from "../state/now";

/** What is odd about the data, what it means for the numbers, and what mends it. */
export function Notices() {
  const notices = useNotices();
  return (
    <div className="page">
      <div className="head">
        <h1>Notices</h1>
        <PhoneHead />
      </div>
      {notices.error ? (
        <Failed what="The list of notices" error={notices.error} onAgain={() => void notices.refetch()} busy={notices.isFetching} />
      ) : notices.data ? (
        <NoticeList notices={notices.data.data} />
      ) : null}
      <section className="section">
        <header>
          <h2>When data is behind</h2>
        </header>
        <p className="prose">
          An event is answered for once it stands in the log, and is in the numbers about two seconds later. When the workers or the store are slow, it waits in the log: nothing is
          lost, and the stamp above each page says up to when the numbers are complete. Numbers of an hour whose partition is being rebuilt are marked provisional until it is done.
        </p>
      </section>
    </div>
  );
}

function NoticeList({ notices }: { notices: readonly Notice[] }) {
  if (notices.length === 0) return <p className="nothing">Nothing is odd: every model has a price, no id looks like an e-mail address, no event was dropped or rejected.</p>;
  return (
    <ul className="notices">
      {notices.map((notice) => (
        <NoticeItem key={notice.kind} notice={notice} />
      ))}
    </ul>
  );
}

interface Words {
  readonly title: string;
  readonly means: string;
  readonly mend: string;
  readonly item: string;
}

function wordsOf(kind: NoticeKind, items: number): Words {
  switch (kind) {
    case "unpriced_models":
      return {
        title: `${plural(items, "model")} without a price`,
        means: "Their calls are counted, but in no sum of spend: totals are lower bounds.",
        mend: "Newer price data usually knows the model: upgrade Percapita, it carries the price data of its day.",
        item: "call",
      };
    case "email_like_ids":
      return {
        title: "User ids that look like e-mail addresses",
        means: "They are stored verbatim, as every userId is: this product would then hold personal data in clear text.",
        mend: "Send a database id, or a hash of the address.",
        item: "event",
      };
    case "dropped_events":
      return {
        title: "Events that an SDK dropped",
        means: "They never left the process that made them, so no number here has them.",
        mend: "Raise the SDK's queue, or look at why it could not send.",
        item: "event",
      };
    case "rejected_events":
      return {
        title: "Events that were rejected",
        means: "They broke a rule of the event's shape and are in no number. Who sent them was told which field it was; at least so many were.",
        mend: "The code says which rule; the answer to the request names the field.",
        item: "event",
      };
    case "near_miss_tags":
      return {
        title: "Tag keys that are nearly the same",
        means: "Spend of one dimension is split over several keys.",
        mend: "Choose one spelling where the trace is opened.",
        item: "event",
      };
    case "old_prices":
      return {
        title: "Price data is older than a week",
        means: "Models that came out since are unpriced, and prices that changed since are the old ones.",
        mend: "Upgrade Percapita: it carries the price data of its day.",
        item: "day",
      };
  }
}

/** A day as a day, an instant as one. */
function sinceText(since: string, now: Date, tz: string): string {
  return since.length === 10 ? shortDay(since, dayOf(now, tz)) : dayAndClock(new Date(since), now, tz);
}

const SHOWN = 12;

function NoticeItem({ notice }: { notice: Notice }) {
  const [{ tz }] = useScope();
  const now = useNow();
  const words = wordsOf(notice.kind, notice.items.length || notice.count);
  return (
    <li className="notice-item">
      <Icon name="warning" />
      <div>
        <h2>{words.title}</h2>
        <p>
          {words.means}
        </p>
        {notice.items.length > 0 && (
          <ul className="notice-names">
            {notice.items.slice(0, SHOWN).map((item) => (
              <li key={item.name}>
                <span className="mono">{item.name}</span>
                <span className="dim">{plural(item.count, words.item)}</span>
              </li>
            ))}
            {notice.items.length > SHOWN && <li className="dim">and {count(notice.items.length - SHOWN)} more</li>}
          </ul>
        )}
        <p className="dim">
          {words.mend} {notice.since !== null && `Since ${sinceText(notice.since, now, tz)}.`}
        </p>
      </div>
      {notice.kind !== "old_prices" && <span className="notice-count">{count(notice.count)}</span>}
    </li>
  );
}
