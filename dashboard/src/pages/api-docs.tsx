import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { type Problem, address, get } from "../api/client";
import { type OpenApi, type Operation, type Schema, defaultText, fields, found, nameOf, operations, typeWords } from "../api/document";
import { plural } from "../format/count";
import { curl } from "../format/curl";
import { A } from "../parts/bits";
import { Failed } from "../parts/card";
import { Find } from "../parts/find";
import { Icon, Logo } from "../parts/icon";
import { copy } from "../parts/toast";
import { pathOf } from "../state/address";
import { toggleTheme } from "../state/theme";
import "../styles/docs.css";

/** The API's own document, read from the server it describes; it needs no session, as the document needs none. */
export function ApiDocs() {
  const [sought, setSought] = useState("");
  const { data, error, isFetching, refetch } = useQuery<OpenApi, Problem>({
    queryKey: ["openapi"],
    queryFn: ({ signal }) => get<OpenApi>("openapi.json", [], signal),
    staleTime: Infinity,
  });
  useEffect(() => {
    document.title = "API · Percapita";
  }, []);
  useEffect(() => {
    // The address named an operation before there was one to scroll to.
    if (data && location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  }, [data]);
  const all = data ? operations(data) : [];
  const shown = found(all, sought);
  return (
    <div className="app docs">
      <nav className="rail docs-rail" aria-label="Operations">
        <A className="brand" to={pathOf("overview")}>
          <Logo />
          <span>Percapita</span>
        </A>
        <ul className="nav">
          {shown.map((one) => (
            <li key={one.id}>
              <a href={anchor(one.id)}>{one.id}</a>
            </li>
          ))}
        </ul>
      </nav>
      <main className="main" id="content" tabIndex={-1}>
        <div className="page">
          <div className="head">
            <h1>API</h1>
            {data && <span className="dim">version {data.info.version}</span>}
            <div className="tools">
              <Find label="Find an operation" value={sought} onFind={setSought} />
              <a className="button" href={address("openapi.json")}>
                <Icon name="download" />
                openapi.json
              </a>
              <button type="button" className="button quiet icon-only" aria-label="Light or dark" title="Light or dark" onClick={toggleTheme}>
                <Icon name="theme" />
              </button>
            </div>
          </div>
          {error && <Failed what="The document" error={error} onAgain={() => void refetch()} busy={isFetching} />}
          {!data && !error && <div className="waiting-room" aria-busy="true" />}
          {data && (
            <>
              <p className="prose">{data.info.description}</p>
              <p className="prose">
                A key that may read goes into <code>Authorization: Bearer</code>; in the curl lines it is the variable <code>$PERCAPITA_KEY</code>. The dashboard's session is a cookie.
              </p>
              {sought !== "" && (
                <p className="dim" role="status">
                  {shown.length === 0 ? "No operation holds these words." : `${plural(shown.length, "operation")} of ${all.length}.`}
                </p>
              )}
              {shown.map((one) => (
                <OperationSection key={one.id} document={data} operation={one} />
              ))}
              <Trouble document={data} />
            </>
          )}
        </div>
      </main>
    </div>
  );
}

/** With a base element a bare fragment would lead to the base: the page's own path stands before it. */
function anchor(id: string): string {
  return `${pathOf("api")}#${id}`;
}

function OperationSection({ document, operation }: { document: OpenApi; operation: Operation }) {
  const { id, method, path, summary, parameters, security, body, good, shapes, exports, answers } = operation;
  const line = curl(address(path.slice(1).replaceAll("{id}", "ID")));
  return (
    <section className="section operation" id={id} aria-labelledby={`${id}-title`}>
      <header>
        <h2 id={`${id}-title`}>
          <a href={anchor(id)}>
            <span className="method">{method}</span> <code>{path}</code>
          </a>
        </h2>
      </header>
      <p>
        {summary}. <span className="dim">Needs {security.length === 0 ? "no key" : security.map((name) => `a ${name}`).join(" or ")}.</span>
      </p>
      {method === "GET" && (
        <div className="curl">
          {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls sideways */}
          <pre tabIndex={0} aria-label={`${id} as curl`}>
            {line}
          </pre>
          <button type="button" className="button quiet" aria-label={`Copy ${id} as curl`} onClick={() => void copy(line, "curl copied")}>
            <Icon name="copy" />
            Copy as curl
          </button>
        </div>
      )}
      {parameters.length > 0 && <Parameters document={document} operation={operation} />}
      {body && <Shape document={document} schema={body} caption={`${id}: what is sent, ${nameOf(body)}`} />}
      {shapes.map((shape) => (
        <Shape key={nameOf(shape)} document={document} schema={shape} caption={`${id}: answer ${good}, ${nameOf(shape)}`} />
      ))}
      {exports.length > 0 && <p className="dim exports">{shapes.length > 0 ? "Also as" : "Answers with"} {exports.join(", ")}.</p>}
      <Wide label={`${id}: status codes`}>
        <table className="ledger dense">
          <caption>Status codes</caption>
          <thead className="hidden">
            <tr>
              <th scope="col">Status</th>
              <th scope="col">Meaning</th>
            </tr>
          </thead>
          <tbody>
            {answers.map(({ status, meaning }) => (
              <tr key={status}>
                <th scope="row" className="status">
                  {status}
                </th>
                <td className="words">{meaning}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </section>
  );
}

/** A table that scrolls sideways on a phone: the keyboard reaches it. */
function Wide({ label, children }: { label: string; children: ReactNode }) {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls sideways
    <div className="ledger-scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

function Parameters({ document, operation }: { document: OpenApi; operation: Operation }) {
  const anyDefault = operation.parameters.some(({ schema }) => defaultText(schema) !== "");
  return (
    <Wide label={`${operation.id}: parameters`}>
      <table className="ledger dense">
        <caption>Parameters</caption>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Type</th>
            {anyDefault && <th scope="col">Default</th>}
            <th scope="col">Meaning</th>
          </tr>
        </thead>
        <tbody>
          {operation.parameters.map((parameter) => (
            <tr key={`${parameter.in} ${parameter.name}`}>
              <th scope="row" className="id">
                {parameter.name}
                {parameter.in !== "query" && <span className="second-label"> in the {parameter.in}</span>}
              </th>
              <td className="words">{typeWords(document, parameter.schema)}</td>
              {anyDefault && <td className="mono">{defaultText(parameter.schema)}</td>}
              <td className="words mid">{parameter.description}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}

function Shape({ document, schema, caption }: { document: OpenApi; schema: Schema; caption: string }) {
  return (
    <Wide label={caption}>
      <table className="ledger dense">
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col">Field</th>
            <th scope="col">Type</th>
            <th scope="col">Meaning</th>
          </tr>
        </thead>
        <tbody>
          <Fields document={document} schema={schema} depth={0} within={[]} />
        </tbody>
      </table>
    </Wide>
  );
}

/** An object's fields; what stands inside one opens below it. `within`: the objects around, so that one that holds itself ends. */
function Fields({ document, schema, depth, within }: { document: OpenApi; schema: Schema; depth: number; within: readonly string[] }) {
  // The rows are what an answer is about; sums and meta open on demand.
  const [open, setOpen] = useState<readonly string[]>(depth === 0 ? ["data"] : []);
  return fields(document, schema).flatMap((field) => {
    const inside = field.inside !== null && !within.includes(nameOf(field.inside)) ? field.inside : null;
    const isOpen = inside !== null && open.includes(field.name);
    const row = (
      <tr key={field.name}>
        <th scope="row" className="id">
          <span className="field-name" data-depth={Math.min(depth, 4)}>
            {inside === null ? (
              field.name
            ) : (
              <button type="button" aria-expanded={isOpen} onClick={() => setOpen(isOpen ? open.filter((name) => name !== field.name) : [...open, field.name])}>
                <Icon name={isOpen ? "down" : "right"} small />
                {field.name}
              </button>
            )}
          </span>
        </th>
        <td className="words">
          {field.type}
          {field.optional && <span className="dim">, may be absent</span>}
        </td>
        <td className="words mid">{field.meaning}</td>
      </tr>
    );
    return isOpen ? [row, <Fields key={`${field.name}.`} document={document} schema={inside} depth={depth + 1} within={[...within, nameOf(inside)]} />] : [row];
  });
}

/** What every answer that is no good one looks like. */
function Trouble({ document }: { document: OpenApi }) {
  const schema = { $ref: "#/components/schemas/Problem" };
  if (!document.components.schemas["Problem"]) return null;
  return (
    <section className="section operation" id="problem">
      <header>
        <h2>What an error looks like</h2>
      </header>
      <p>
        Every 4xx and 5xx is <code>application/problem+json</code> (RFC 9457). <code>code</code> stays the same from version to version; <code>detail</code> is for people.
      </p>
      <Shape document={document} schema={schema} caption="Problem" />
    </section>
  );
}
