import { pathOf } from "../state/address";
import { keysOn, setKeysOn } from "../state/keys";
import { useStore } from "../state/store";
import { A } from "./bits";

const KEYS: readonly [readonly string[], string][] = [
  [["/"], "Find"],
  [["↑", "↓"], "Move through rows"],
  [["Enter"], "Open the row"],
  [["Esc"], "Back, or close"],
  [["[", "]"], "Window earlier, later"],
  [["w"], "Window, then 1 7 8 9 m l c"],
  [["m", "l"], "Month to date, last month"],
  [["x"], "Compare on or off"],
  [["f"], "Add a filter"],
  [["g"], "Group by"],
  [["t"], "Chart or table"],
  [["c"], "Copy as curl"],
  [["1", "…", "5"], "Sections"],
  [["?"], "This list"],
];

export function KeyList() {
  const on = useStore(keysOn);
  return (
    <>
      <dl className="key-list">
        {KEYS.map(([keys, does]) => (
          <div key={does}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <label className="key-switch">
        <input type="checkbox" checked={on} onChange={(event) => setKeysOn(event.target.checked)} />
        Single keys do this
      </label>
      <p className="key-foot">
        <A className="more" to={pathOf("api")}>
          The API, operation by operation
        </A>
      </p>
    </>
  );
}
