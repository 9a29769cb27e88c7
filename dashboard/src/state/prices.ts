import { useMe } from "../api/answers";
import { dayOf, shortDay } from "../format/time";

/** The day of the price data, in words: 20 Nov 2026. Null while it is not known. */
export function usePrices(): string | null {
  const { data } = useMe();
  if (!data?.prices_as_of) return null;
  const day = dayOf(new Date(data.prices_as_of), "UTC");
  return `${shortDay(day)} ${day.slice(0, 4)}`;
}
