/** Light, dark, or the system's until one was chosen. theme.js sets it before the first paint. */
export function toggleTheme(): void {
  const root = document.documentElement;
  const chosen = root.dataset["theme"];
  const dark = chosen === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
  root.dataset["theme"] = dark ? "light" : "dark";
  try {
    localStorage.setItem("percapita.theme", root.dataset["theme"]);
  } catch {
    // Storage is refused: it holds for this page.
  }
}
