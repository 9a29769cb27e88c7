import { type SyntheticEvent, useEffect, useRef, useState } from "react";
import { Problem } from "../api/client";
import { useEnter } from "../api/session";
import { Icon, Logo } from "../parts/icon";
import { SignInArt } from "../parts/sign-in-art";
import { go, pathOf } from "../state/address";

/** A read key, posted once, becomes a session cookie. `percapita up` prints a one-time link that does the same. */
export function SignIn() {
  const begin = useEnter();
  const [key, setKey] = useState("");
  const [seen, setSeen] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [link] = useState(() => new URLSearchParams(location.hash.slice(1)).get("link"));
  const [busy, setBusy] = useState(link !== null);
  const tried = useRef(false);

  const enter = async (what: { key: string } | { link: string }): Promise<void> => {
    try {
      await begin(what);
      go(destination(), { replace: true });
    } catch (error) {
      setTrouble(error instanceof Problem ? reason(error, "link" in what) : "Something went wrong; try again.");
      setBusy(false);
    }
  };

  useEffect(() => {
    document.title = "Sign in · Percapita";
    // Once: the link is spent by the first use, and must not stay in the address.
    if (tried.current || link === null) return;
    tried.current = true;
    history.replaceState(null, "", location.pathname + location.search);
    void enter({ link });
  });

  const submit = (event: SyntheticEvent): void => {
    event.preventDefault();
    if (key.trim() === "") {
      setTrouble("Paste a key that can read.");
      return;
    }
    setBusy(true);
    setTrouble(null);
    void enter({ key: key.trim() });
  };

  return (
    <div className="door">
      <main className="door-side">
        <form className="door-form" onSubmit={submit} noValidate>
          <div className="brand">
            <Logo />
            <span>Percapita</span>
          </div>
          <h1>Sign in</h1>
          <p>What each of your users costs you in LLM spend.</p>
          <label htmlFor="key">Access key</label>
          <div className={trouble === null ? "field" : "field wrong"}>
            <Icon name="lock" />
            <input
              id="key"
              type={seen ? "text" : "password"}
              autoComplete="current-password"
              spellCheck={false}
              placeholder="pc_live_…"
              value={key}
              onChange={(event) => setKey(event.target.value)}
              aria-invalid={trouble !== null}
              aria-describedby={trouble === null ? undefined : "trouble"}
            />
            <button type="button" className="button quiet icon-only small" aria-label="Show the key" aria-pressed={seen} onClick={() => setSeen(!seen)}>
              <Icon name="eye" />
            </button>
          </div>
          {trouble !== null && (
            <p id="trouble" className="field-trouble" role="alert">
              <Icon name="warning" small />
              {trouble}
            </p>
          )}
          <button type="submit" className="button solid" disabled={busy}>
            {busy ? "Signing in" : "Sign in"}
          </button>
          <div className="door-hint">
            Make one on the server:
            <br />
            <code>percapita keys create ACCOUNT --scope read</code>
            <p>The key is exchanged for a session cookie and never stored in the browser.</p>
          </div>
        </form>
      </main>
      <div className="door-art" aria-hidden="true">
        <SignInArt />
      </div>
    </div>
  );
}

/** Back to what was asked for, if it is a page of this dashboard. */
function destination(): string {
  const to = new URLSearchParams(location.search).get("to");
  const start = pathOf("overview");
  return to !== null && to.startsWith(start) && !to.startsWith("//") && !to.includes("\\") ? to : start;
}

function reason(error: Problem, byLink: boolean): string {
  if (error.code === "insecure") return error.detail;
  if (error.status === 401) return byLink ? "This link was used or is too old. Start percapita up again for a new one, or paste a key." : "No such key, or it was revoked.";
  if (error.status === 403) return "This key can only write events, not read.";
  if (error.status === 429) return "Too many attempts. Wait a minute and try again.";
  return error.detail;
}
