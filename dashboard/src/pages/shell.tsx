import { type MouseEvent, type ReactNode, useEffect, useRef } from "react";
import { useMe } from "../api/answers";
import { useNotices } from "../api/notices";
import { useSignOut } from "../api/session";
import { A } from "../parts/bits";
import { Boundary } from "../parts/boundary";
import { Icon, type IconName, Logo } from "../parts/icon";
import { KeyList } from "../parts/key-list";
import { Popover, type PopoverHandle } from "../parts/popover";
import { ScopeBar } from "../parts/scope-bar";
import { SECTIONS, type Section, go, pathOf, useLink, usePlace, useScope } from "../state/address";
import { useKey } from "../state/keys";
import { usePrices } from "../state/prices";
import { toggleTheme } from "../state/theme";
import { moveRow } from "../state/rows";

const NAMES: Record<Section, string> = { overview: "Overview", users: "Users", traces: "Traces", models: "Models", tools: "Tools" };

/** Rail, scope bar, page; on a phone a tab bar instead of the rail. */
export function Shell({ children }: { children: ReactNode }) {
  const link = useLink();
  const place = usePlace();
  const [scope] = useScope();
  const keyList = useRef<PopoverHandle>(null);
  // A trace that was reached from its user's page stands under Users, as its breadcrumb does.
  const fromUser = place.page === "traces" && place.id !== null && scope.filters.some((filter) => filter.field === "userId");
  const current = fromUser ? "users" : place.page;

  for (const [index, section] of SECTIONS.entries()) {
    // The list of sections is fixed, so the hooks are called in the same order each time.
    // eslint-disable-next-line react-hooks/rules-of-hooks
    useKey(String(index + 1), () => go(link(section)));
  }
  useKey("?", () => keyList.current?.open());
  useKey(["ArrowDown", "ArrowUp"], (event) => moveRow(event.key === "ArrowDown" ? 1 : -1), { fallback: true });
  useTitle();

  return (
    <div className="app">
      <a className="skip" href="#content" onClick={skip}>
        Skip to content
      </a>
      <nav className="rail" aria-label="Main">
        <A className="brand" title="Percapita" to={link("overview")}>
          <Logo />
          <span>Percapita</span>
        </A>
        <Account />
        <ul className="nav">
          {SECTIONS.map((section, index) => (
            <li key={section}>
              <A to={link(section)} title={`${NAMES[section]}  ${index + 1}`} {...(current === section ? { "aria-current": "page" as const } : {})}>
                <Icon name={section} />
                <span>{NAMES[section]}</span>
                <kbd>{index + 1}</kbd>
              </A>
            </li>
          ))}
        </ul>
        <div className="rail-foot">
          <ul className="nav">
            <li>
              <NoticesLink current={current === "notices"} to={link("notices")} />
            </li>
            <li>
              <Popover
                label="Keyboard"
                title="Keyboard  ?"
                handle={keyList}
                buttonClass="nav-button"
                className="key-popover"
                button={
                  <>
                    <Icon name="keyboard" />
                    <span>Keyboard</span>
                    <kbd>?</kbd>
                  </>
                }
              >
                {() => <KeyList />}
              </Popover>
            </li>
            <li>
              <A to={pathOf("api")} title="API">
                <Icon name="terminal" />
                <span>API</span>
              </A>
            </li>
          </ul>
          <div className="rail-row">
            <PriceDate />
            <button type="button" className="button quiet icon-only" aria-label="Light or dark" title="Light or dark" onClick={toggleTheme}>
              <Icon name="theme" />
            </button>
          </div>
        </div>
      </nav>
      <main className="main" id="content" tabIndex={-1}>
        {place.page !== "notices" && place.page !== "unknown" && <ScopeBar />}
        <Boundary key={`${place.page} ${place.id ?? ""}`}>{children}</Boundary>
      </main>
      <nav className="tab-bar" aria-label="Sections">
        {SECTIONS.map((section) => (
          <A key={section} to={link(section)} {...(current === section ? { "aria-current": "page" as const } : {})}>
            <Icon name={section as IconName} />
            {NAMES[section]}
          </A>
        ))}
      </nav>
    </div>
  );
}

/** By hand: with a base element, a bare fragment would lead to the base and not to this page. */
function skip(event: MouseEvent): void {
  event.preventDefault();
  document.getElementById("content")?.focus();
}

function Account() {
  const { data: me } = useMe();
  const signOut = useSignOut();
  if (!me) return null;
  return (
    <Popover
      label="Account"
      buttonClass="account"
      title={`Account: ${me.name}`}
      className="account-popover"
      button={
        <>
          <Icon name="account" />
          <b>{me.name}</b>
          <span className="dim">{me.live ? "live" : "test"}</span>
          <Icon name="sort" small />
        </>
      }
    >
      {() => (
        <>
          <dl className="facts-list">
            <dt>Account</dt>
            <dd>{me.account}</dd>
            <dt>This session may</dt>
            <dd>{me.scopes.join(", ")}</dd>
            <dt>Version</dt>
            <dd>{me.version}</dd>
            <dt>Price book</dt>
            <dd className="mono">{me.price_book}</dd>
          </dl>
          <ul className="options">
            <li>
              <button type="button" onClick={() => void signOut()}>
                <Icon name="leave" />
                Sign out
              </button>
            </li>
          </ul>
        </>
      )}
    </Popover>
  );
}

function NoticesLink({ current, to }: { current: boolean; to: string }) {
  const { data } = useNotices();
  const open = data?.data.length ?? 0;
  return (
    <A to={to} title="Notices" {...(current ? { "aria-current": "page" as const } : {})}>
      <Icon name="bell" />
      <span>Notices</span>
      {open > 0 && (
        <span className="nav-count">
          {open}
          <span className="hidden"> open</span>
        </span>
      )}
    </A>
  );
}

function PriceDate() {
  const prices = usePrices();
  return <span>{prices ? `Prices of ${prices}` : ""}</span>;
}

/** The tab says where one is: what is read aloud first after a change of page. */
function useTitle(): void {
  const { page, id } = usePlace();
  useEffect(() => {
    const name = page === "unknown" ? "No such page" : page === "notices" ? "Notices" : page in NAMES ? NAMES[page as Section] : "";
    document.title = id === null ? `${name} · Percapita` : `${id} · ${name} · Percapita`;
  }, [page, id]);
}
