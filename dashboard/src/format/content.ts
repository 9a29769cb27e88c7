/** Content of calls comes in every shape that providers have. It is always shown as text, never as HTML or Markdown. */
export interface Said {
  readonly role: string | null;
  readonly text: string;
  /** Structure that no text could be read from. */
  readonly isJson: boolean;
}

/** Why content is absent: {"absent": "privacy: minimal"}. */
export function absentReason(content: unknown): string | null {
  if (typeof content !== "object" || content === null || !("absent" in content)) return null;
  return typeof content.absent === "string" ? content.absent : "not stored";
}

export function messagesOf(content: unknown): Said[] {
  if (content === null || content === undefined) return [];
  if (typeof content === "string") return [{ role: null, text: content, isJson: false }];
  if (Array.isArray(content)) return content.flatMap(messagesOf);
  if (typeof content !== "object") return [asJson(content)];
  const held = content as Record<string, unknown>;
  // OpenAI wraps its answer: {"choices": [{"message": …}]}; both wrap what was asked: {"messages": […]}.
  for (const wrapper of ["messages", "choices"]) if (Array.isArray(held[wrapper])) return [...messagesOf(held["system"]).map((m) => ({ ...m, role: "system" })), ...messagesOf(held[wrapper])];
  if (typeof held["message"] === "object" && held["message"] !== null) return messagesOf(held["message"]);
  const role = typeof held["role"] === "string" ? held["role"] : null;
  const text = textOf(held["content"] ?? held["text"] ?? held["parts"]);
  if (text !== null && text !== "") return [{ role, text, isJson: false }];
  return [{ ...asJson(content), role }];
}

/** The text of a message's content: a string, or parts of which some are text; others are named by their kind. */
function textOf(content: unknown): string | null {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return null;
  const parts = content.map((part: unknown) => {
    if (typeof part === "string") return part;
    if (typeof part !== "object" || part === null) return null;
    const held = part as Record<string, unknown>;
    const inner = held["text"] ?? held["content"];
    if (typeof inner === "string") return inner;
    return typeof held["type"] === "string" ? `[${held["type"]}] ${JSON.stringify(held)}` : JSON.stringify(held);
  });
  return parts.filter((part) => part !== null).join("\n");
}

function asJson(content: unknown): Said {
  return { role: null, text: JSON.stringify(content, null, 2), isJson: true };
}

export interface Piece {
  readonly text: string;
  /** A redaction's mark: what stood there was replaced by its kind before it was stored. */
  readonly isRedaction: boolean;
}

const REDACTION = /\[[A-Z][A-Z_]{1,19}\]/g;

export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  for (const match of text.matchAll(REDACTION)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), isRedaction: false });
    found.push({ text: match[0], isRedaction: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) found.push({ text: text.slice(from), isRedaction: false });
  return found;
}
