/**
 * The API's shapes, generated from its OpenAPI document (`npm run types`), under the names that this program uses. What the
 * document leaves open is narrowed here, once.
 */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Measures = Schemas["Measures"];
export type TokensByClass = Schemas["TokenClasses"];
/** A row that may stand beside the window before (`compare`), with its days (`include=spark`). */
export type Row = Schemas["Sum"];
export type Meta = Schemas["Meta"];
export type Overview = Schemas["Overview"];
export type OverviewAnswer = Schemas["OverviewAnswer"];
export type Group = Schemas["Group"];
export type GroupsAnswer = Schemas["GroupsAnswer"];
export type User = Schemas["UserRow"];
export type UsersAnswer = Schemas["UsersAnswer"];
export type UserAnswer = Omit<Schemas["UserAnswer"], "data"> & { data: Schemas["User"] & { tags: Tags } };
export type Model = Schemas["Model"];
export type ModelsAnswer = Schemas["ModelsAnswer"];
export type Tool = Schemas["Tool"];
export type ToolsAnswer = Schemas["ToolsAnswer"];
export type TagsAnswer = Schemas["TagsAnswer"];
export type Tags = Record<string, string>;
export type Trace = Schemas["Trace"] & { tags: Tags };
export type TracesAnswer = Omit<Schemas["TracesAnswer"], "data"> & { data: Trace[] };
export type UserDetail = UserAnswer["data"];
/** Here `events` are the events themselves, not their count. */
export type TraceDetail = Omit<Trace, "events"> & { events: Event[] };
export type PriceStatus = Schemas["Event"]["price_status"];
export type CostPart = Schemas["CostPart"];

export type Event = Omit<Schemas["Event"], "type" | "status" | "privacy" | "tags"> & {
  type: "llm" | "tool" | "log" | "trace" | "custom";
  status: "ok" | "error" | "aborted";
  privacy: "minimal" | "standard" | "full";
  tags: Tags;
};

export type Me = Omit<Schemas["Me"], "restriction"> & {
  restriction: Tags;
  /** Where events are sent to. */
  ingest_url?: string;
};

export type Diagnosis = Schemas["Diagnosis"];
export type DiagnosisState = Diagnosis["state"];
export type Check = Schemas["Check"];
export type CheckName = Check["check"];
export type Notice = Schemas["Notice"];
export type NoticeKind = Notice["kind"];
export type ProblemBody = Partial<Schemas["Problem"]>;

export interface Answer<Data> {
  data: Data;
  meta: Meta;
}

/** What a page under a vendor's own page gets for its token. */
export interface EmbedSession {
  credential: string;
  expires_at: string;
  restriction: Tags;
  wording: string;
  accent: string | null;
  show_prompts: boolean;
  origins: string[];
}

/** Server-sent when data moved. */
export interface Watermark {
  complete_through: string | null;
  as_of: string;
  events: number;
}
