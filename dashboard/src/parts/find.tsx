import { useEffect, useRef, useState } from "react";
import { useKey } from "../state/keys";
import { Icon } from "./icon";

const SETTLES_MS = 250;

/** The page's search; `/` goes there, Esc clears it. `onFind` is called as the text settles, or at once on Enter. */
export function Find({ label, value, onFind, settles = true }: { label: string; value: string; onFind: (text: string) => void; settles?: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useKey("/", () => input.current?.select());
  // The address changed by itself, back or forward: the field follows it.
  const [followed, setFollowed] = useState(value);
  if (value !== followed) {
    setFollowed(value);
    setText(value);
  }
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const settle = (next: string, delay: number): void => {
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => onFind(next.trim()), delay);
  };
  return (
    <form
      className="field"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        settle(text, 0);
      }}
    >
      <Icon name="search" />
      <input
        ref={input}
        type="search"
        aria-label={label}
        placeholder={label}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          if (settles || event.target.value === "") settle(event.target.value, SETTLES_MS);
        }}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          if (text === "") input.current?.blur();
          else {
            setText("");
            settle("", 0);
          }
        }}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}
