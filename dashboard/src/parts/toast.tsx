import { useEffect, useRef } from "react";
import { store, useStore } from "../state/store";
import { Icon } from "./icon";

/** Confirms what was done; never reports an error. One line, four seconds, and it stays under the pointer. */
const shown = store<{ text: string; serial: number } | null>(null);
const STAYS_MS = 4_000;
let serial = 0;

export function toast(text: string): void {
  serial += 1;
  shown.set({ text, serial });
}

export async function copy(text: string, said: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(said);
  } catch {
    toast("The browser did not allow copying");
  }
}

export function Toasts() {
  const current = useStore(shown);
  const timer = useRef(0);
  const later = (): void => {
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => shown.set(null), STAYS_MS);
  };
  useEffect(() => {
    if (!current) return;
    later();
    return () => window.clearTimeout(timer.current);
  }, [current]);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {current && (
        <div className="toast" key={current.serial} onPointerEnter={() => window.clearTimeout(timer.current)} onPointerLeave={later}>
          <Icon name="check" />
          {current.text}
        </div>
      )}
    </div>
  );
}
