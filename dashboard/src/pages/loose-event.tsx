import { useAnswer } from "../api/answers";
import type { Answer, Event } from "../api/types";
import { EventPanel } from "../parts/event-panel";
import { useScope } from "../state/address";

/** An event outside any trace: no page of its own, but its panel beside the list of traces, and an address. */
export function LooseEvent({ id, onClose }: { id: string; onClose: () => void }) {
  const [{ tz }] = useScope();
  const { data } = useAnswer<Answer<Event>>(`events/${encodeURIComponent(id)}`, [["tz", tz], ["trace_id", ""]]);
  return data ? <EventPanel event={data.data} tz={tz} hasPrevious={false} hasNext={false} onMove={() => undefined} onClose={onClose} /> : null;
}
