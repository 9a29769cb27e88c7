import { useState } from "react";
import { type Said, pieces } from "../format/content";
import { count } from "../format/count";
import { Fold } from "./fold";
import { Icon } from "./icon";

const LINES = 40;

/** A message: folded to one line where it is context, open where it is what was asked or answered. */
export function Body({ message, folds }: { message: Said; folds: boolean }) {
  if (folds) {
    return (
      <Fold title={message.text.slice(0, 200)} by={message.role ?? "text"}>
        <Text text={message.text} mono={message.isJson} />
      </Fold>
    );
  }
  return <Message by={message.role} text={message.text} mono={message.isJson} />;
}

export function Message({ by, text, mono = false }: { by: string | null; text: string; mono?: boolean }) {
  return (
    <div className="message">
      {by !== null && <div className="message-role">{by}</div>}
      <Text text={text} mono={mono} />
    </div>
  );
}

/** Forty lines, then all of them when asked. Redactions are chips. */
function Text({ text, mono }: { text: string; mono: boolean }) {
  const [all, setAll] = useState(false);
  const lines = text.split("\n");
  const shown = all || lines.length <= LINES ? text : lines.slice(0, LINES).join("\n");
  return (
    <>
      <div className={mono ? "text mono" : "text"}>
        {pieces(shown).map((piece, index) =>
          piece.isRedaction ? (
            <span key={index} className="redaction">
              {piece.text}
            </span>
          ) : (
            piece.text
          ),
        )}
      </div>
      {!all && lines.length > LINES && (
        <button type="button" className="more" onClick={() => setAll(true)}>
          Show all {count(lines.length)} lines
        </button>
      )}
    </>
  );
}

export function NotStored({ reason }: { reason: string }) {
  return (
    <div className="not-stored">
      <Icon name="lock" />
      <div>
        <b>Prompt and response are not stored ({reason})</b>
        <p>
          {reason === "privacy: minimal"
            ? "This account keeps tokens, cost, latency and tags of each call, and no text. Text was never written to disk."
            : "The cost, the tokens and the latency of the call are all there."}
        </p>
      </div>
    </div>
  );
}
