import { type ReactNode, useState } from "react";
import { Icon } from "./icon";

export function Fold({ title, by, children }: { title: string; by?: string; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <div className={open ? "message fold open" : "message fold"}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Icon name={open ? "down" : "right"} small />
        {by !== undefined && <span className="message-role">{by}</span>}
        <span className="clip">{title}</span>
      </button>
      {open && <div className="fold-body">{children}</div>}
    </div>
  );
}
