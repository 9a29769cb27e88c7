import { type ReactNode, type RefCallback, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/**
 * One tooltip for the page. What has one registers it; pointer, focus and long press find it by walking up, so that a table of
 * fifty rows has no fifty listeners. Focus on a row shows the tip of the amount in that row.
 */
const tips = new WeakMap<Element, () => ReactNode>();

export function useTip(content: (() => ReactNode) | null): RefCallback<Element> {
  const latest = useRef(content);
  useEffect(() => {
    latest.current = content;
  });
  return useCallback((element: Element | null) => {
    if (!element) return;
    tips.set(element, () => latest.current?.());
    return () => void tips.delete(element);
  }, []);
}

const OPEN_MS = 120;
const LONG_PRESS_MS = 450;

interface Shown {
  readonly anchor: Element;
  readonly content: ReactNode;
}

export function TipLayer() {
  const [shown, setShown] = useState<Shown | null>(null);
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    let timer = 0;
    const open = (anchor: Element | null, delay: number): void => {
      window.clearTimeout(timer);
      if (!anchor) {
        setShown(null);
        return;
      }
      timer = window.setTimeout(() => {
        const content = tips.get(anchor)?.();
        setShown(content == null ? null : { anchor, content });
      }, delay);
    };
    const over = (event: PointerEvent): void => {
      if (event.pointerType !== "touch") open(holderOf(event.target), OPEN_MS);
    };
    const focus = (event: FocusEvent): void => {
      if (!(event.target instanceof Element) || !event.target.matches(":focus-visible")) return;
      open(holderOf(event.target) ?? holderIn(event.target.closest("tr, .list-row")), OPEN_MS * 3);
    };
    const close = (): void => open(null, 0);
    const press = (event: PointerEvent): void => {
      if (event.pointerType === "touch") open(holderOf(event.target), LONG_PRESS_MS);
      else close();
    };
    const key = (event: KeyboardEvent): void => {
      if (event.key === "Escape") close();
    };
    document.addEventListener("pointerover", over);
    document.addEventListener("focusin", focus);
    document.addEventListener("focusout", close);
    document.addEventListener("pointerdown", press);
    document.addEventListener("keydown", key);
    document.addEventListener("scroll", close, true);
    return () => {
      window.clearTimeout(timer);
      document.removeEventListener("pointerover", over);
      document.removeEventListener("focusin", focus);
      document.removeEventListener("focusout", close);
      document.removeEventListener("pointerdown", press);
      document.removeEventListener("keydown", key);
      document.removeEventListener("scroll", close, true);
    };
  }, []);

  useLayoutEffect(() => {
    if (!shown || !box.current) return;
    const { anchor } = shown;
    const at = anchor.getBoundingClientRect();
    const own = box.current.getBoundingClientRect();
    const left = Math.max(8, Math.min(at.right - own.width, innerWidth - own.width - 8));
    const below = at.bottom + 6;
    box.current.style.left = `${left}px`;
    box.current.style.top = `${below + own.height > innerHeight - 8 ? Math.max(8, at.top - own.height - 6) : below}px`;
    anchor.setAttribute("aria-describedby", "tip");
    return () => anchor.removeAttribute("aria-describedby");
  }, [shown]);

  if (!shown) return null;
  return (
    <div ref={box} id="tip" role="tooltip" className="tip floating">
      {shown.content}
    </div>
  );
}

function holderOf(target: EventTarget | null): Element | null {
  for (let at = target instanceof Element ? target : null; at; at = at.parentElement) if (tips.has(at)) return at;
  return null;
}

function holderIn(row: Element | null | undefined): Element | null {
  return [...(row?.querySelectorAll("[data-tip]") ?? [])].find((element) => tips.has(element)) ?? null;
}

/** A line of a tooltip: what, and how much. */
export function TipLine({ name, children, mark }: { name: ReactNode; children: ReactNode; mark?: ReactNode }) {
  return (
    <div className="tip-line">
      {mark}
      {name}
      <b>{children}</b>
    </div>
  );
}
