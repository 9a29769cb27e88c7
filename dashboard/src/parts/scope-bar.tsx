import { city, clock, fullTime } from "../format/time";
import { useScope } from "../state/address";
import { LATE_SECONDS, freshness } from "../state/freshness";
import { useNow } from "../state/now";
import { useStore } from "../state/store";
import { previousName } from "../state/windows";
import { Pills } from "./pills";
import { Popover } from "./popover";
import { WindowControl } from "./window-control";
import { ZoneList } from "./zone";

/** One row scopes everything: window, comparison, zone, pills, freshness. */
export function ScopeBar() {
  const [scope, setScope] = useScope();
  const now = useNow();
  return (
    <div className="scope">
      <WindowControl />
      <button
        type="button"
        className="button quiet"
        aria-pressed={scope.compare}
        title="Compare on or off  x"
        onClick={() => setScope({ ...scope, compare: !scope.compare })}
      >
        {scope.compare ? (
          <>
            <span className="dim">vs</span> {previousName(scope.window, now, scope.tz)}
          </>
        ) : (
          <span className="dim">Not compared</span>
        )}
      </button>
      <Popover label="Time zone" buttonClass="button quiet zone" className="window-list" button={<span className="dim">{city(scope.tz)}</span>} buttonLabel={`Time zone: ${scope.tz}`}>
        {(close) => <ZoneList onChosen={close} />}
      </Popover>
      <span className="scope-rule" />
      <Pills />
      <Stamp />
    </div>
  );
}

export function Stamp() {
  const [{ tz }] = useScope();
  const { asOf, behindSeconds, paused } = useStore(freshness);
  if (asOf === null) return <div className="stamp">No data yet</div>;
  const late = behindSeconds !== null && behindSeconds > LATE_SECONDS;
  return (
    <div className="stamp" aria-live="off" title={fullTime(asOf, tz)}>
      <span className={late || paused ? "live hollow" : "live"} />
      <span>
        As of <b>{clock(asOf, tz)}</b>
        {paused ? ", paused" : behindSeconds === null ? "" : `, ${behindText(behindSeconds)} behind`}
      </span>
    </div>
  );
}

export function behindText(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
