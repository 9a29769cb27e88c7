/** The OpenAPI document, as far as this program shows it. Pure: what a page of it says is tested without a page. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly pattern?: string;
  readonly enum?: readonly (string | number)[];
  readonly const?: string | number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly description?: string;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
}

export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}

type Security = readonly Readonly<Record<string, readonly string[]>>[];

interface Described {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: Security;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, Answer>>;
}

export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly security?: Security;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly securitySchemes?: Readonly<Record<string, { readonly type: string; readonly description?: string; readonly name?: string; readonly in?: string; readonly scheme?: string }>>;
  };
}

export interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly summary: string;
  readonly parameters: readonly Parameter[];
  /** The names of what lets one in, any of them; none: nothing is needed. */
  readonly security: readonly string[];
  /** What is sent; null where nothing is. */
  readonly body: Schema | null;
  /** The status of a good answer. */
  readonly good: string;
  /** What a good answer may be, each by its name where it has one. */
  readonly shapes: readonly Schema[];
  /** Media types beside JSON. */
  readonly exports: readonly string[];
  readonly answers: readonly { readonly status: string; readonly meaning: string }[];
}

const JSON_KIND = "application/json";

/** Every operation, in the document's order. */
export function operations(document: OpenApi): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, told]): Operation => {
      const good = Object.keys(told.responses).find((status) => status.startsWith("2")) ?? "200";
      const content = told.responses[good]?.content ?? {};
      const shape = content[JSON_KIND]?.schema;
      return {
        id: told.operationId,
        method: method.toUpperCase(),
        path,
        summary: told.summary,
        parameters: told.parameters ?? [],
        security: (told.security ?? document.security ?? []).flatMap((one) => Object.keys(one)),
        body: told.requestBody?.content?.[JSON_KIND]?.schema ?? null,
        good,
        shapes: shape === undefined ? [] : (shape.anyOf ?? [shape]),
        exports: Object.keys(content).filter((kind) => kind !== JSON_KIND),
        answers: Object.entries(told.responses)
          .map(([status, { description }]) => ({ status, meaning: description }))
          .sort((a, b) => a.status.localeCompare(b.status)),
      };
    }),
  );
}

/** The operations whose path, words or parameters hold every word of the text. */
export function found(all: readonly Operation[], text: string): readonly Operation[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return all;
  return all.filter((one) => {
    const held = [one.id, one.method, one.path, one.summary, ...one.parameters.flatMap(({ name, description }) => [name, description ?? ""]), ...one.shapes.map(nameOf)].join("\n").toLowerCase();
    return words.every((word) => held.includes(word));
  });
}

/** The last part of a reference; "" where the schema stands in place. */
export function nameOf(schema: Schema): string {
  return schema.$ref?.split("/").at(-1) ?? "";
}

function resolved(document: OpenApi, schema: Schema): Schema {
  const name = nameOf(schema);
  return name === "" ? schema : (document.components.schemas[name] ?? {});
}

/** "string", "integer, 1 to 1000", "one of asc, desc", "list of Event", "User or null". */
export function typeWords(document: OpenApi, schema: Schema): string {
  const name = nameOf(schema);
  if (name !== "") return name;
  // Alternatives that differ in form alone are of one type.
  if (schema.anyOf && schema.type === undefined) return [...new Set(schema.anyOf.map((one) => typeWords(document, one)))].join(" or ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return `one of ${schema.enum.join(", ")}`;
  if (schema.type === "array") return `list of ${schema.items ? typeWords(document, schema.items) : "anything"}`;
  if (schema.format) return schema.format;
  if (schema.type === "integer" && schema.minimum !== undefined && schema.maximum !== undefined) return `integer, ${schema.minimum} to ${schema.maximum}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `object of ${typeWords(document, schema.additionalProperties)}`;
  return schema.type ?? "anything";
}

export interface Field {
  readonly name: string;
  readonly type: string;
  readonly meaning: string;
  /** May be left out of an answer. */
  readonly optional: boolean;
  /** What stands inside it; null for a plain value. */
  readonly inside: Schema | null;
}

/** The fields of an object, in the document's order. */
export function fields(document: OpenApi, schema: Schema): Field[] {
  const { properties = {}, required = [] } = resolved(document, schema);
  return Object.entries(properties).map(([name, one]) => ({
    name,
    type: typeWords(document, one),
    meaning: one.description ?? resolved(document, one).description ?? "",
    optional: !required.includes(name),
    inside: objectIn(document, one),
  }));
}

/** The object that a field holds, one or many of it, or that it may hold instead of null. */
function objectIn(document: OpenApi, schema: Schema): Schema | null {
  if (resolved(document, schema).properties) return schema;
  if (schema.items) return objectIn(document, schema.items);
  return schema.anyOf?.map((one) => objectIn(document, one)).find((one) => one !== null) ?? null;
}

/** A default in words; "" where the document names none. */
export function defaultText(schema: Schema): string {
  return schema.default == null ? "" : typeof schema.default === "string" ? schema.default : JSON.stringify(schema.default);
}
