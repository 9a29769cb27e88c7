import { useMe } from "../api/answers";
import { useNotices } from "../api/notices";
import { useSignOut } from "../api/session";
import { clock } from "../format/time";
import { pathOf, useLink, useScope } from "../state/address";
import { freshness } from "../state/freshness";
import { useStore } from "../state/store";
import { toggleTheme } from "../state/theme";
import { A } from "./bits";
import { type Exported, Formats } from "./controls";
import { Icon } from "./icon";
import { Popover } from "./popover";

/** On a phone the stamp stands beside the title, and behind "more" what the rail and the page's tools hold elsewhere. */
export function PhoneHead({ exported }: { exported?: Exported }) {
  const [{ tz }] = useScope();
  const { asOf } = useStore(freshness);
  return (
    <div className="phone-head">
      {asOf !== null && <span>As of {clock(asOf, tz)}</span>}
      <Popover label="More" buttonLabel="More" buttonClass="button quiet icon-only" align="end" button={<Icon name="more" />}>
        {(close) => <More exported={exported} close={close} />}
      </Popover>
    </div>
  );
}

function More({ exported, close }: { exported: Exported | undefined; close: () => void }) {
  const { data: me } = useMe();
  const { data: notices } = useNotices();
  const link = useLink();
  const signOut = useSignOut();
  const open = notices?.data.length ?? 0;
  return (
    <ul className="options">
      <li>
        <A to={link("notices")}>
          <Icon name="bell" />
          Notices
          {open > 0 && <span className="option-note">{open} open</span>}
        </A>
      </li>
      <li>
        <button type="button" onClick={toggleTheme}>
          <Icon name="theme" />
          Light or dark
        </button>
      </li>
      <li>
        <A to={pathOf("api")}>
          <Icon name="terminal" />
          API
        </A>
      </li>
      <li>
        <button type="button" onClick={() => void signOut()}>
          <Icon name="leave" />
          Sign out
          {me && <span className="option-note">{me.name}</span>}
        </button>
      </li>
      {exported && (
        <>
          <li className="rule" />
          <li className="options-foot">Export</li>
          <Formats {...exported} close={close} />
        </>
      )}
    </ul>
  );
}
