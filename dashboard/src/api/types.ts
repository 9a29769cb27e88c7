/** The shapes of the query API's answers. Money is a decimal string, times are RFC 3339 in UTC. */

export interface TokensByClass {
  input_uncached: number;
  input_cache_read: number;
  input_cache_write: number;
  output: number;
  output_reasoning: number;
}

export interface Measures {
  /** null where nothing is priced and something is unpriced. */
  spend: string | null;
  events: number;
  calls: number;
  traces: number;
  tokens: number;
  tokens_by_class: TokensByClass;
  errors: number;
  unpriced_events: number;
  estimated_events: number;
  last_seen: string | null;
}

/** What `compare=previous` and `include=spark` add to a row. */
export interface Row extends Measures {
  previous?: (Measures & Partial<UserTotals>) | null;
  spark?: string[];
}

export interface UserTotals {
  users: number;
  mean_spend: string | null;
  median_spend: string | null;
  users_above: number;
}

export interface Meta {
  from: string;
  to: string;
  tz: string;
  currency: string;
  as_of: string;
  complete_through: string | null;
  freshness_seconds: number | null;
  provisional: boolean;
  price_book: string;
  plan: string;
  unpriced_events: number;
  warnings: string[];
  previous?: { from: string; to: string };
  spark_days?: string[];
}

export interface Answer<Data> {
  data: Data;
  meta: Meta;
}

export interface List<Item, Totals = Row> extends Answer<Item[]> {
  totals: Totals;
  rest?: Row | null;
  unattributed: Row | null;
  next_cursor: string | null;
}

export interface Overview extends Row {
  users: number;
  forecast?: string | null;
}

export interface Group extends Row {
  key: string | null;
  bucket?: string;
  users: number;
}

export interface User extends Row {
  user_id: string;
  top_model: string | null;
  share: number;
  label: string | null;
}

export interface UserDetail extends Row {
  user_id: string;
  top_model: string | null;
  share?: number;
  first_seen: string | null;
  tags: Record<string, string>;
}

export interface Trace extends Measures {
  trace_id: string;
  name: string | null;
  user_id: string | null;
  started_at: string;
  duration_ms: number;
  models: string[];
  agent: string | null;
  tags: Record<string, string>;
}

/** Here `events` are the events themselves, not their count. */
export interface TraceDetail extends Omit<Trace, "events"> {
  events: Event[];
}

export interface TraceList extends List<Trace, Measures> {
  untraced?: string | null;
}

export type PriceStatus = "priced" | "free" | "reported" | "estimated" | "unpriced" | "none";

export interface CostPart {
  class: string;
  tokens: number;
  price_per_million: string | null;
  amount: string | null;
}

/** Content as it was stored, or the reason why it is not. */
export type Content = unknown;

export interface Event {
  id: string;
  type: "llm" | "tool" | "log" | "trace" | "custom";
  timestamp: string;
  trace_id: string | null;
  span_id: string | null;
  parent_span_id: string | null;
  user_id: string | null;
  name: string | null;
  operation: string | null;
  tool_name: string | null;
  provider: string | null;
  model: string | null;
  service_tier: string | null;
  agent: string | null;
  session_id: string | null;
  status: "ok" | "error" | "aborted";
  error_code: string | null;
  finish_reason: string | null;
  cost: string | null;
  cost_parts: CostPart[];
  price_id: string | null;
  price_status: PriceStatus;
  price_version: string | null;
  tokens: number;
  input_uncached: number;
  input_cache_read: number;
  output: number;
  latency_ms: number | null;
  time_to_first_token_ms: number | null;
  flags: string[];
  privacy: "minimal" | "standard" | "full";
  error_message: Content;
  prompt: Content;
  response: Content;
  tool_arguments: Content;
  tool_result: Content;
  logs: Content;
  tags: Record<string, string>;
  metadata: unknown;
  raw_usage: unknown;
}

export interface Quantiles {
  p50: number | null;
  p95: number | null;
}

export interface Model extends Row {
  provider: string | null;
  /** null: what tools cost. */
  model: string | null;
  latency_ms: Quantiles;
  time_to_first_token_ms: Quantiles;
  share: number;
}

export interface Tool extends Row {
  tool_name: string;
  users: number;
  share: number;
  success_rate: number;
  latency_ms: Quantiles;
  top_users: { user_id: string; calls: number }[];
}

export interface TagKey extends Row {
  key: string;
  values: number;
}

export interface Me {
  account: string;
  name: string;
  live: boolean;
  scopes: string[];
  restriction: Record<string, string>;
  version: string;
  price_book: string;
  prices_as_of: string | null;
  wording: string;
  show_prompts: boolean;
  embedded: boolean;
  ingest_url: string;
}

export type CheckName = "key_used" | "events" | "in_trace" | "with_user" | "in_window" | "filters";
export type DiagnosisState = "ok" | "key_unused" | "no_events" | "no_trace" | "no_user" | "outside_window" | "filtered_out";

export interface Check {
  check: CheckName;
  ok: boolean;
  count: number;
  last_at: string | null;
}

export interface Diagnosis {
  state: DiagnosisState;
  checks: Check[];
  filters: { filter: string; events: number }[];
  first_at: string | null;
  last_at: string | null;
}

export type NoticeKind = "unpriced_models" | "email_like_ids" | "dropped_events" | "near_miss_tags" | "old_prices";

export interface Notice {
  kind: NoticeKind;
  count: number;
  spend_at_stake: string | null;
  items: { name: string; count: number }[];
  since: string | null;
}

export interface EmbedSession {
  credential: string;
  expires_at: string;
  restriction: Record<string, string>;
  wording: string;
  accent: string | null;
  show_prompts: boolean;
  origins: string[];
}

export interface Watermark {
  complete_through: string | null;
  as_of: string;
  events: number;
}

/** RFC 9457. */
export interface ProblemBody {
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  errors?: { parameter: string; detail: string }[];
  request_id?: string;
}
