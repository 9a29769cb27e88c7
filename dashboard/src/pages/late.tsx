import { clock } from "../format/time";
import { Icon } from "../parts/icon";
import { behindText } from "../parts/scope-bar";
import { useLink, useScope } from "../state/address";
import { LATE_SECONDS, freshness } from "../state/freshness";
import { useStore } from "../state/store";
import { A } from "../parts/bits";

/** Over a minute behind, the numbers say where they stop. */
export function LateNotice() {
  const [{ tz }] = useScope();
  const link = useLink();
  const { behindSeconds, completeThrough } = useStore(freshness);
  if (behindSeconds === null || behindSeconds <= LATE_SECONDS || completeThrough === null) return null;
  return (
    <div className="notice" role="status">
      <Icon name="warning" />
      <span>
        <b>Data is {behindText(behindSeconds)} behind.</b> Events are safe in the log; the numbers below stop at {clock(completeThrough, tz, false)}.
      </span>
      <A className="button" to={link("notices")}>
        What this means
      </A>
    </div>
  );
}
