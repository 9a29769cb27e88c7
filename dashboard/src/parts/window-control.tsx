import { type KeyboardEvent, useRef, useState } from "react";
import { addDays, city, dayOf, offset } from "../format/time";
import { useScope } from "../state/address";
import { useKey } from "../state/keys";
import { useNow } from "../state/now";
import { PRESETS, PRESET_KEYS, type Preset, type Window, daysOf, presetName, previousName, sameWindow, step, windowName } from "../state/windows";
import { Icon } from "./icon";
import { Popover, type PopoverHandle } from "./popover";
import { ZoneList } from "./zone";

/** Step back, name and dates, step forward; the list holds presets with their keys, a range of one's own, comparison and zone. */
export function WindowControl() {
  const [scope, setScope] = useScope();
  const now = useNow();
  const list = useRef<PopoverHandle>(null);
  const { name, dates } = windowName(scope.window, now, scope.tz);
  const earlier = step(scope.window, -1, now, scope.tz);
  const later = step(scope.window, 1, now, scope.tz);
  const choose = (window: Window): void => setScope({ ...scope, window });

  useKey("w", () => list.current?.open());
  useKey("m", () => choose({ preset: "mtd" }));
  useKey("l", () => choose({ preset: "last-month" }));
  useKey("[", () => earlier && choose(earlier));
  useKey("]", () => later && choose(later));
  useKey("x", () => setScope({ ...scope, compare: !scope.compare }));

  return (
    <div className="window" role="group" aria-label="Window">
      <button type="button" className="window-step" aria-label="Earlier" title="Earlier  [" disabled={!earlier} onClick={() => earlier && choose(earlier)}>
        <Icon name="left" small />
      </button>
      <Popover
        label="Window"
        handle={list}
        className="window-list"
        buttonClass="window-name"
        button={
          <>
            <b>{name}</b>
            <span>{dates}</span>
          </>
        }
      >
        {(close) => <WindowList close={close} />}
      </Popover>
      <button type="button" className="window-step" aria-label="Later" title="Later  ]" disabled={!later} onClick={() => later && choose(later)}>
        <Icon name="right" small />
      </button>
    </div>
  );
}

function WindowList({ close }: { close: () => void }) {
  const [scope, setScope] = useScope();
  const [pane, setPane] = useState<"list" | "custom" | "zone">("list");
  const now = useNow();
  const choose = (window: Window): void => {
    close();
    setScope({ ...scope, window });
  };
  const compare = (): void => setScope({ ...scope, compare: !scope.compare });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const preset = PRESETS.find((name) => PRESET_KEYS[name] === event.key);
    if (preset) choose({ preset });
    else if (event.key === "c") setPane("custom");
    else if (event.key === "x") compare();
    else if (!moveFocus(event)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  if (pane === "custom") return <CustomRange onChoose={choose} />;
  if (pane === "zone") return <ZoneList onChosen={close} />;
  return (
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions -- the keys of the buttons in it
    <div onKeyDown={onKeyDown}>
      <ul className="options">
        {PRESETS.slice(0, 4).map((preset) => (
          <PresetOption key={preset} preset={preset} onChoose={choose} />
        ))}
        <li className="rule" role="separator" />
        {PRESETS.slice(4).map((preset) => (
          <PresetOption key={preset} preset={preset} onChoose={choose} />
        ))}
        <li>
          <button type="button" onClick={() => setPane("custom")} aria-current={"from" in scope.window}>
            Custom…<kbd>c</kbd>
          </button>
        </li>
        <li className="rule" role="separator" />
        <li>
          <button type="button" aria-pressed={scope.compare} onClick={compare}>
            <span className="check-slot">{scope.compare && <Icon name="check" small />}</span>
            Compare with {previousName(scope.window, now, scope.tz)}
            <kbd>x</kbd>
          </button>
        </li>
        <li>
          <button type="button" onClick={() => setPane("zone")}>
            <span className="check-slot" />
            {scope.tz}, {offset(scope.tz, now)}
            <span className="option-note">change</span>
          </button>
        </li>
      </ul>
    </div>
  );
}

function PresetOption({ preset, onChoose }: { preset: Preset; onChoose: (window: Window) => void }) {
  const [scope] = useScope();
  const now = useNow();
  const window: Window = { preset };
  const chosen = sameWindow(scope.window, window);
  return (
    <li>
      <button type="button" aria-current={chosen} {...(chosen ? { "data-autofocus": "" } : {})} onClick={() => onChoose(window)}>
        {presetName(preset)}
        <span className="option-note">{windowName(window, now, scope.tz).dates}</span>
        <kbd>{PRESET_KEYS[preset]}</kbd>
      </button>
    </li>
  );
}

/** Two days, both included, as people say it; the address and the API have the end excluded. */
function CustomRange({ onChoose }: { onChoose: (window: Window) => void }) {
  const [scope] = useScope();
  const now = useNow();
  const today = dayOf(now, scope.tz);
  const days = daysOf(scope.window, now, scope.tz);
  const [from, setFrom] = useState(days.from);
  const [last, setLast] = useState(days.last);
  const valid = from !== "" && last !== "" && from <= last;
  return (
    <form
      className="range"
      onSubmit={(event) => {
        event.preventDefault();
        if (valid) onChoose({ from, to: addDays(last, 1) });
      }}
    >
      <label>
        First day
        {/* eslint-disable-next-line jsx-a11y/no-autofocus -- the pane was opened to fill this in */}
        <input type="date" autoFocus value={from} max={today} onChange={(event) => setFrom(event.target.value)} />
      </label>
      <label>
        Last day
        <input type="date" value={last} max={today} onChange={(event) => setLast(event.target.value)} />
      </label>
      <p className="dim">Whole days in {city(scope.tz)}, both included.</p>
      <button type="submit" className="button solid" disabled={!valid}>
        Show
      </button>
    </form>
  );
}

/** Up and down through the buttons of a list. */
export function moveFocus(event: KeyboardEvent): boolean {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return false;
  const buttons = [...event.currentTarget.querySelectorAll<HTMLElement>("button:not(:disabled), [role=option]")];
  const at = buttons.indexOf(document.activeElement as HTMLElement);
  const next = event.key === "ArrowDown" ? at + 1 : at - 1;
  buttons[(next + buttons.length) % buttons.length]?.focus();
  return true;
}
