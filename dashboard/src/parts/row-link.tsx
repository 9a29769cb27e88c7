import { A, shortId } from "./bits";

/** The link of a row: what Enter and the arrow keys act on. */
export function RowLink({ to, id, mono = true, most }: { to: string; id: string; mono?: boolean; most?: number }) {
  const text = shortId(id, most);
  return (
    <A to={to} rowLink className={mono ? "id" : "row-name"} {...(text === id ? {} : { title: id })}>
      {text}
    </A>
  );
}
