import { useParams } from "./address";

/** Which cursor a page was reached from: cursors lead forward only. Held by the tab; after a reload, Previous leads to the first page. */
const earlier = new Map<string, string>();

export interface Paging {
  readonly cursor: string | null;
  readonly page: number;
  readonly next: (cursor: string) => void;
  readonly previous: () => void;
}

/** The page in the address: its cursor, and its number for the reader. */
export function usePaging(): Paging {
  const [params, change] = useParams();
  const cursor = params.get("cursor");
  const page = cursor === null ? 1 : Math.max(2, Number(params.get("page")) || 2);
  return {
    cursor,
    page,
    next: (to) => {
      earlier.set(to, cursor ?? "");
      change({ cursor: to, page: String(page + 1) });
      scrollTo(0, 0);
    },
    previous: () => {
      const back = cursor === null ? "" : (earlier.get(cursor) ?? "");
      change(back ? { cursor: back, page: String(page - 1) } : { cursor: null, page: null });
      scrollTo(0, 0);
    },
  };
}
