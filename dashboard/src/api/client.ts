import type { ProblemBody, Watermark } from "./types";

export const API = "v1/me/ai-apps";

/** Every request says that it comes from this program: what a foreign page's form cannot send. */
const HEADERS = { "X-Percapita": "dashboard" };

/** The embedded page has no cookie: its credential lives here, in memory, as long as the page does. */
let credential: string | null = null;

export function setCredential(next: string | null): void {
  credential = next;
}

/** What went wrong, in words that can stand on screen. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly requestId: string | null,
    readonly parameters: readonly string[] = [],
    /** How long the server asks to be left alone. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(detail);
    this.name = "Problem";
  }
}

/** A path below the page's base, whatever prefix the server runs under. */
export function address(path: string, pairs: readonly (readonly [string, string])[] = []): string {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of pairs) url.searchParams.append(name, value);
  return url.href;
}

export async function get<Body>(path: string, pairs: readonly (readonly [string, string])[], signal?: AbortSignal): Promise<Body> {
  const answer = await send(address(path, pairs), { ...(signal ? { signal } : {}) });
  return (await answer.json()) as Body;
}

export async function post(path: string, body: unknown): Promise<Response> {
  return send(address(path), { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export async function remove(path: string): Promise<void> {
  await send(address(path), { method: "DELETE" });
}

/** Saves an answer as a file. Fetched, because a plain link could carry neither header nor credential; a broken one saves nothing. */
export async function download(path: string, pairs: readonly (readonly [string, string])[], name: string): Promise<void> {
  const answer = await send(address(path, pairs), {});
  const url = URL.createObjectURL(await answer.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

async function send(url: string, init: Omit<RequestInit, "headers"> & { headers?: Record<string, string> }): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { ...init, headers: { ...headers(), ...init.headers }, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", "The server did not answer. It may be restarting, or the network is away.", null);
  }
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

function headers(): Record<string, string> {
  return credential === null ? HEADERS : { ...HEADERS, Authorization: `Bearer ${credential}` };
}

async function problemOf(answer: Response): Promise<Problem> {
  let body: ProblemBody = {};
  try {
    body = (await answer.json()) as ProblemBody;
  } catch {
    // A proxy's page, or nothing: the status says what is known.
  }
  return new Problem(
    answer.status,
    body.code ?? `http_${answer.status}`,
    body.detail ?? body.title ?? "The server gave no reason.",
    body.request_id ?? null,
    (body.errors ?? []).map((error) => error.parameter),
    retryAfter(answer.headers.get("Retry-After")),
  );
}

/** Seconds, as our server says it. */
function retryAfter(header: string | null): number | null {
  return header !== null && /^\d+$/.test(header) ? Number(header) * 1000 : null;
}

/**
 * The watermark, as server-sent events. Read with fetch, because EventSource can send no header. Resolves when the server
 * ends the stream; throws Problem when it refuses.
 */
export async function watch(onMove: (mark: Watermark) => void, signal: AbortSignal): Promise<void> {
  const answer = await send(address("v1/me/stream"), { signal, headers: { Accept: "text/event-stream" } });
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    const messages = held.split("\n\n");
    held = messages.pop() ?? "";
    for (const message of messages) {
      const mark = readMessage(message);
      if (mark) onMove(mark);
    }
  }
}

/** The data of a `watermark` message; null for pings and anything else. */
export function readMessage(message: string): Watermark | null {
  const lines = message.split("\n");
  if (!lines.includes("event: watermark")) return null;
  const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
  return data.length > 0 ? (JSON.parse(data.join("\n")) as Watermark) : null;
}
