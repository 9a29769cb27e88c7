import type { ReactNode } from "react";
import type { Paging } from "../state/paging";

export const PAGE_ROWS = 50;

export function Pager({ paging, nextCursor, children }: { paging: Paging; nextCursor: string | null; children: ReactNode }) {
  return (
    <div className="under">
      <span>{children}</span>
      <span className="pager">
        {(paging.page > 1 || nextCursor !== null) && (
          <button type="button" className="button quiet" disabled={paging.page === 1} onClick={paging.previous}>
            Previous
          </button>
        )}
        {nextCursor !== null && (
          <button type="button" className="button" onClick={() => paging.next(nextCursor)}>
            Next {PAGE_ROWS}
          </button>
        )}
      </span>
    </div>
  );
}
