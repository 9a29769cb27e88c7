import { useRef, useState } from "react";
import { useKey } from "../state/keys";
import { Icon } from "./icon";
import { Popover, type PopoverHandle } from "./popover";
import { moveFocus } from "./window-control";

const KEY = /^[A-Za-z0-9_.-]{1,64}$/;

/** Group by any tag: those that were sent, or one that is typed. */
export function TagMenu({ keys, chosen, onChoose, plain = false }: { keys: readonly string[]; chosen: string | null; onChoose: (key: string) => void; plain?: boolean }) {
  const menu = useRef<PopoverHandle>(null);
  const [typed, setTyped] = useState("");
  useKey("g", () => menu.current?.open());
  const found = keys.filter((key) => key.toLowerCase().includes(typed.toLowerCase()));
  return (
    <Popover
      label="Group by a tag"
      handle={menu}
      buttonClass=""
      buttonLabel="Group by another tag"
      button={
        plain ? (
          <Icon name="down" small />
        ) : (
          <>
            <Icon name="plus" small />
            Tag
          </>
        )
      }
    >
      {(close) => (
        // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- the arrows of the buttons in it
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const key = found[0] ?? typed;
            if (!KEY.test(key)) return;
            close();
            setTyped("");
            onChoose(key);
          }}
          onKeyDown={(event) => {
            if (moveFocus(event)) event.preventDefault();
          }}
        >
          <div className="popover-head">
            <input className="popover-search" aria-label="Tag key" placeholder="Tag key" value={typed} onChange={(event) => setTyped(event.target.value)} />
          </div>
          <ul className="options tall">
            {found.map((key) => (
              <li key={key}>
                <button
                  type="button"
                  aria-current={key === chosen}
                  onClick={() => {
                    close();
                    onChoose(key);
                  }}
                >
                  {key}
                </button>
              </li>
            ))}
            {found.length === 0 && <li className="options-foot">{typed && KEY.test(typed) ? `Enter groups by ${typed}` : "No tag was sent in this window."}</li>}
          </ul>
        </form>
      )}
    </Popover>
  );
}
