import { type ReactNode, type Ref, useCallback, useId, useImperativeHandle, useRef, useState } from "react";
import { flushSync } from "react-dom";

export interface PopoverHandle {
  open: () => void;
  close: () => void;
}

const GAP = 6;
const EDGE = 12;

/**
 * The browser's own popover: top layer, Esc, a click beside it closes it, focus goes back to the button. Placed here under its
 * button; on a phone the styles make it a sheet at the bottom.
 */
export function Popover({
  label,
  button,
  buttonClass = "button",
  buttonLabel,
  title,
  align = "start",
  disabled = false,
  className = "",
  handle,
  children,
}: {
  label: string;
  button: ReactNode;
  buttonClass?: string;
  buttonLabel?: string;
  title?: string;
  align?: "start" | "end";
  disabled?: boolean;
  className?: string;
  handle?: Ref<PopoverHandle>;
  children: (close: () => void) => ReactNode;
}) {
  const id = useId();
  const anchor = useRef<HTMLButtonElement>(null);
  const sheet = useRef<HTMLDivElement>(null);
  const [isOpen, setOpen] = useState(false);

  const close = useCallback(() => document.getElementById(id)?.hidePopover(), [id]);
  const place = useCallback(() => {
    const [button, panel] = [anchor.current, sheet.current];
    if (!button || !panel) return;
    const at = button.getBoundingClientRect();
    const [above, below] = [at.top - GAP - EDGE, innerHeight - at.bottom - GAP - EDGE];
    // Under its button, or over it where there is more room and it is needed.
    const over = panel.scrollHeight > below && above > below;
    panel.style.top = over ? "auto" : `${at.bottom + GAP}px`;
    panel.style.bottom = over ? `${innerHeight - at.top + GAP}px` : "auto";
    panel.style.maxHeight = `${over ? above : below}px`;
    if (align === "end") {
      panel.style.right = `${Math.max(8, document.documentElement.clientWidth - at.right)}px`;
    } else {
      panel.style.left = `${Math.max(8, Math.min(at.left, innerWidth - panel.offsetWidth - 8))}px`;
    }
  }, [align]);

  const settle = useCallback(() => {
    const panel = sheet.current;
    if (!panel) return;
    place();
    if (panel.contains(document.activeElement)) return;
    (panel.querySelector<HTMLElement>("[data-autofocus]") ?? panel.querySelector<HTMLElement>("input, button, a"))?.focus();
  }, [place]);
  // By a key it settles at once: the browser tells of its opening later, and the next key is meant for the list.
  const open = useCallback(() => {
    sheet.current?.showPopover();
    settle();
  }, [settle]);
  useImperativeHandle(handle, () => ({ open, close }), [open, close]);

  return (
    <>
      <button
        ref={anchor}
        type="button"
        className={buttonClass}
        popoverTarget={id}
        aria-haspopup="dialog"
        aria-expanded={isOpen}
        aria-label={buttonLabel}
        title={title}
        disabled={disabled}
      >
        {button}
      </button>
      <div
        ref={sheet}
        id={id}
        popover="auto"
        role="dialog"
        aria-label={label}
        className={`popover ${className}`}
        onBeforeToggle={(event) => {
          if (event.target !== event.currentTarget) return;
          const opens = event.newState === "open";
          // What it holds is drawn before it shows, so that it can be placed and take the focus.
          if (opens) flushSync(() => setOpen(true));
          else setOpen(false);
        }}
        onToggle={(event) => {
          if (event.target === event.currentTarget && event.newState === "open") settle();
        }}
      >
        {isOpen ? children(close) : null}
      </div>
    </>
  );
}
