/** A command that a POSIX shell takes as it is, whatever the address holds. */
export function curl(url: string): string {
  return `curl -H "Authorization: Bearer $PERCAPITA_KEY" ${quoted(url)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
