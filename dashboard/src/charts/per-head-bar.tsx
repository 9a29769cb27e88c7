import { useState } from "react";
import { share as shareText } from "../format/count";
import { go } from "../state/address";
import { store, useStore } from "../state/store";
import { heads } from "./heads";
import { useWidth } from "./width";

const HEIGHT = 18;

/** The row under the pointer. A store of its own, so that moving over a table draws the bar anew and not the page. */
export const rowOver = store<string | null>(null);

export interface Head {
  readonly key: string;
  readonly name: string;
  readonly share: number;
  readonly href: string;
}

/** The signature: hover a segment and its row lights up; a click opens it. Rows are the keyboard's way to the same places. */
export function PerHeadBar({
  named,
  rest,
  unattributed,
  labels,
  label,
}: {
  named: readonly Head[];
  rest: number;
  unattributed: number;
  labels: { named: string; rest: string; unattributed: string };
  label: string;
}) {
  const [ref, width] = useWidth<HTMLElement>();
  const [over, setOver] = useState<string | null>(null);
  const lit = useStore(rowOver);
  const { segments, rest: restSegment, unattributed: nobody } = heads(named.map((head) => head.share), rest, unattributed, width);
  const drawn = named.filter((head) => head.share > 0);
  const sum = drawn.reduce((total, head) => total + head.share, 0);
  const shown = drawn.find((head) => head.key === over);
  const light = (key: string | null): void => {
    document.querySelector("tr.lit")?.classList.remove("lit");
    if (key !== null) document.querySelector(`tr[data-row="${CSS.escape(key)}"]`)?.classList.add("lit");
    setOver(key);
  };
  return (
    <figure className="heads" ref={ref}>
      <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={label} onPointerLeave={() => light(null)}>
        {segments.map((segment, index) => {
          const head = drawn[index]!;
          return (
             
            <rect
              key={head.key}
              x={segment.x}
              width={segment.width}
              height={HEIGHT}
              opacity={lit !== null && lit !== head.key ? segment.opacity * 0.45 : segment.opacity}
              onPointerEnter={() => light(head.key)}
              onClick={() => go(head.href)}
            />
          );
        })}
        {restSegment && <rect className="heads-rest" x={restSegment.x} width={restSegment.width} height={HEIGHT} />}
        {nobody && <rect className="heads-nobody" x={nobody.x} width={nobody.width} height={HEIGHT} />}
      </svg>
      <figcaption>
        {shown ? (
          <span>
            <b>{shareText(shown.share)}</b> {shown.name}
          </span>
        ) : (
          <span style={{ flexGrow: sum }}>
            <b>{shareText(sum)}</b> {labels.named}
          </span>
        )}
        {!shown && rest > 0 && (
          <span className="heads-rest-label" style={{ flexGrow: rest }}>
            <b>{shareText(rest)}</b> {labels.rest}
          </span>
        )}
        {unattributed > 0 && (
          <span className="heads-nobody-label">
            <b>{shareText(unattributed)}</b> {labels.unattributed}
          </span>
        )}
      </figcaption>
    </figure>
  );
}
