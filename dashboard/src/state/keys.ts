import { useEffect, useRef } from "react";
import { stored } from "./address";
import { store } from "./store";

/** Single keys can be turned off altogether (WCAG 2.1.4); the choice is remembered. */
export const keysOn = store(stored("percapita.keys") !== "off");

export function setKeysOn(on: boolean): void {
  keysOn.set(on);
  try {
    localStorage.setItem("percapita.keys", on ? "on" : "off");
  } catch {
    // Storage is refused: it holds for this page.
  }
}

type Handler = (event: KeyboardEvent) => void;

/** The handler that came last for a key has it: a panel's Esc before its page's. */
const handlers: { key: string; run: Handler }[] = [];

function dispatch(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  // Esc works while typing and when single keys are off: it is no character.
  if (event.key !== "Escape" && (isTyping(event.target) || !keysOn.get())) return;
  const found = handlers.findLast((handler) => handler.key === event.key);
  if (!found) return;
  event.preventDefault();
  found.run(event);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"));
}

/** While the component is there, this key runs `run`. A `fallback` gives way to any other handler of the key. */
export function useKey(key: string | readonly string[], run: Handler, { fallback = false }: { fallback?: boolean } = {}): void {
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  const names = typeof key === "string" ? key : key.join("\n");
  useEffect(() => {
    if (handlers.length === 0) document.addEventListener("keydown", dispatch);
    const mine = names.split("\n").map((name) => ({ key: name, run: (event: KeyboardEvent) => latest.current(event) }));
    if (fallback) handlers.unshift(...mine);
    else handlers.push(...mine);
    return () => {
      for (const handler of mine) handlers.splice(handlers.indexOf(handler), 1);
      if (handlers.length === 0) document.removeEventListener("keydown", dispatch);
    };
  }, [names, fallback]);
}
