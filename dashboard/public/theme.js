/* Before first paint, so that nothing flashes. A file of its own, because the policy forbids inline script. */
try {
  const chosen = localStorage.getItem("percapita.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is refused: the system's theme stands.
}
