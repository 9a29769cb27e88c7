import { useState } from "react";
import { offset } from "../format/time";
import { useScope } from "../state/address";
import { useNow } from "../state/now";

const SHOWN = 60;

/** Every zone that the browser knows, the reader's own and UTC first. */
export function ZoneList({ onChosen }: { onChosen: () => void }) {
  const [scope, setScope] = useScope();
  const now = useNow();
  const [sought, setSought] = useState("");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = [...new Set([scope.tz, own, "UTC", ...Intl.supportedValuesOf("timeZone")])];
  const needle = sought.trim().toLowerCase().replaceAll(" ", "_");
  const found = zones.filter((zone) => zone.toLowerCase().includes(needle)).slice(0, SHOWN);
  const choose = (tz: string): void => {
    onChosen();
    setScope({ ...scope, tz });
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (found[0] !== undefined) choose(found[0]);
      }}
    >
      <div className="popover-head">
        <input
          className="popover-search"
          // eslint-disable-next-line jsx-a11y/no-autofocus -- the pane was opened to look for one
          autoFocus
          placeholder="Find a city"
          aria-label="Find a time zone"
          value={sought}
          onChange={(event) => setSought(event.target.value)}
        />
      </div>
      <ul className="options tall">
        {found.map((zone) => (
          <li key={zone}>
            <button type="button" aria-current={zone === scope.tz} onClick={() => choose(zone)}>
              {zone.replaceAll("_", " ")}
              <span className="option-note">{offset(zone, now)}</span>
            </button>
          </li>
        ))}
        {found.length === 0 && <li className="options-foot">No such zone.</li>}
      </ul>
    </form>
  );
}
