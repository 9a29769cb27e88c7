/** Arrow keys move through the rows of the page: the focus goes from link to link, so that Enter opens by itself. */
export function moveRow(by: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLElement>("[data-row-link]")].filter((link) => link.offsetParent !== null);
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement as HTMLElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by));
  const link = links[next]!;
  link.focus();
  link.scrollIntoView({ block: "nearest" });
}
