import { type KeyboardEvent, useRef, useState } from "react";
import { useMe } from "../api/answers";
import { useTagKeys, useValues } from "../api/values";
import { exact, sum } from "../format/decimal";
import { dollarText } from "../format/money";
import { useLink, usePlace, useScope } from "../state/address";
import { useKey } from "../state/keys";
import { FIELDS, type Filter, fieldName, filterWords, valueName, withFilter } from "../state/scope";
import { A } from "./bits";
import { Icon } from "./icon";
import { Popover, type PopoverHandle } from "./popover";
import { moveFocus } from "./window-control";

/** What the view is narrowed to: click the text to edit, x or Backspace to remove; a key's own restriction has a lock. */
export function Pills() {
  const [scope, setScope] = useScope();
  const { data: me } = useMe();
  const place = usePlace();
  const link = useLink();
  const adding = useRef<PopoverHandle>(null);
  useKey("f", () => adding.current?.open());
  const remove = (filter: Filter): void => setScope({ ...scope, filters: withFilter(scope.filters, { ...filter, values: [] }) });
  return (
    <>
      {Object.entries(me?.restriction ?? {}).map(([field, value]) => (
        <LockedPill key={field} field={field} value={value} />
      ))}
      {place.page === "users" && place.id !== null && (
        <span className="pill">
          <span className="pill-text">
            user <i>is</i> <span className="pill-values">{place.id}</span>
          </span>
          <A className="pill-remove" to={link("users")} title="All users">
            <Icon name="close" small />
            <span className="hidden">All users</span>
          </A>
        </span>
      )}
      {scope.filters.map((filter) => (
        <Pill key={filter.field + String(filter.exclude)} filter={filter} onRemove={() => remove(filter)} />
      ))}
      <Popover
        label="Add a filter"
        handle={adding}
        className="filter-popover"
        buttonClass="pill add"
        button={
          <>
            <Icon name="plus" small />
            Filter
          </>
        }
      >
        {(close) => <AddFilter close={close} />}
      </Popover>
    </>
  );
}

export function LockedPill({ field, value }: { field: string; value: string }) {
  return (
    <span className="pill locked" title="This key sees nothing else">
      <span>
        <Icon name="lock" small />
        {fieldName(field)} <i>is</i> <span className="pill-values">{value}</span>
      </span>
    </span>
  );
}

function Pill({ filter, onRemove }: { filter: Filter; onRemove: () => void }) {
  const { field, verb, values } = filterWords(filter);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Backspace" && event.key !== "Delete") return;
    if ((event.target as Element).closest(".popover")) return;
    event.preventDefault();
    onRemove();
  };
  return (
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions -- Backspace on either of its buttons
    <span className="pill" onKeyDown={onKeyDown}>
      <Popover
        label={`${field} ${verb}`}
        className="filter-popover"
        buttonClass="pill-text"
        button={
          <>
            {field} <i>{verb}</i> <span className="pill-values">{values}</span>
          </>
        }
      >
        {(close) => <EditFilter field={filter.field} replaced={filter} close={close} />}
      </Popover>
      <button type="button" className="pill-remove" aria-label={`Remove ${field} ${verb} ${values}`} onClick={onRemove}>
        <Icon name="close" small />
      </button>
    </span>
  );
}

function AddFilter({ close }: { close: () => void }) {
  const [scope] = useScope();
  const keys = useTagKeys(scope);
  const [field, setField] = useState<string | null>(null);
  if (field !== null) return <EditFilter field={field} close={close} />;
  const fields = [...keys.map((key) => `tag.${key}`), ...Object.keys(FIELDS)];
  return (
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions -- the arrows of the buttons in it
    <div onKeyDown={(event) => moveFocus(event) && event.preventDefault()}>
      <ul className="options tall">
        {fields.map((name) => (
          <li key={name}>
            <button type="button" onClick={() => setField(name)}>
              {fieldName(name)}
              <span className="option-note">{name.startsWith("tag.") ? "tag" : ""}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Values by spend, with their amounts; several are "any of". */
function EditFilter({ field, replaced, close }: { field: string; replaced?: Filter; close: () => void }) {
  const [scope, setScope] = useScope();
  const [exclude, setExclude] = useState(replaced?.exclude ?? false);
  const [chosen, setChosen] = useState<readonly string[]>(replaced?.values ?? []);
  const [sought, setSought] = useState("");
  const { values, isPending, isError } = useValues(field, scope, sought);
  const known = values.map((offered) => offered.value);
  const listed = [
    ...chosen.filter((value) => !known.includes(value)).map((value) => ({ value, spend: null })),
    ...values,
  ];
  const typed = sought.trim();
  const toggle = (value: string): void => setChosen(chosen.includes(value) ? chosen.filter((held) => held !== value) : [...chosen, value]);
  const apply = (): void => {
    close();
    setScope({ ...scope, filters: withFilter(scope.filters, { field, exclude, values: chosen }, replaced) });
  };
  const { verb } = filterWords({ field, exclude, values: chosen });
  const amount = exact(sum(values.filter(({ value }) => chosen.includes(value)).map(({ spend }) => spend)));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <div className="popover-head">
        <span className="dim">{fieldName(field)}</span>
        <button type="button" className="verb" onClick={() => setExclude(!exclude)} title="Is, or is not">
          {verb}
          <Icon name="sort" small />
        </button>
      </div>
      <div className="popover-head">
        <input
          className="popover-search"
          // eslint-disable-next-line jsx-a11y/no-autofocus -- the pane was opened to look for one
          autoFocus
          aria-label={`Find a value of ${fieldName(field)}`}
          placeholder="Find a value"
          value={sought}
          onChange={(event) => setSought(event.target.value)}
        />
      </div>
      { }
      <ul
        className="options tall"
        role="listbox"
        aria-multiselectable="true"
        aria-label={`${fieldName(field)} ${verb}`}
        onKeyDown={(event) => moveFocus(event) && event.preventDefault()}
      >
        {listed.map(({ value, spend }) => (
          <li
            key={value}
            role="option"
            tabIndex={0}
            aria-selected={chosen.includes(value)}
            className="option"
            onClick={() => toggle(value)}
            onKeyDown={(event) => {
              if (event.key !== " " && event.key !== "Enter") return;
              event.preventDefault();
              if (event.key === "Enter" && chosen.includes(value)) apply();
              else toggle(value);
            }}
          >
            <span className="check-slot">{chosen.includes(value) && <Icon name="check" small />}</span>
            <span className="option-text">{valueName(value)}</span>
            <span className="option-note">{spend === null ? "" : dollarText(spend)}</span>
          </li>
        ))}
        {listed.length === 0 && <li className="options-foot">{isError ? "The values did not load." : isPending ? "Loading values" : "No such value here."}</li>}
      </ul>
      <div className="popover-foot">
        {typed !== "" && !listed.some(({ value }) => value === typed) ? (
          <button type="button" className="button quiet" onClick={() => setChosen([...chosen, typed])}>
            Use “{typed}”
          </button>
        ) : (
          <span className="dim">
            {chosen.length} of {listed.length}
            {chosen.length > 0 && field !== "status" ? `, ${dollarText(amount)}` : ""}
          </span>
        )}
        <button type="submit" className="button solid" disabled={chosen.length === 0 && !replaced}>
          Apply
        </button>
      </div>
    </form>
  );
}
