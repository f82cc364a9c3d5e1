// How the texts are shown: as Markdown, as they are, or where two of them differ; and what goes on below the edge.

export function views(form) {
  const raw = document.getElementById("as-raw");
  const diff = document.getElementById("as-diff");
  const panes = [...form.querySelectorAll(".answer .pane")];

  function set(view) {
    const now = form.dataset.view === view ? "read" : view;
    form.dataset.view = now;
    raw?.setAttribute("aria-pressed", String(now === "raw"));
    diff?.setAttribute("aria-pressed", String(now === "diff"));
    panes.forEach(hint);
  }

  function hint(pane) {
    const answer = pane.closest(".answer");
    answer.classList.toggle("longer", pane.scrollHeight - pane.scrollTop - pane.clientHeight > 24);
  }

  for (const pane of panes) pane.addEventListener("scroll", () => hint(pane), { passive: true });
  const watch = new ResizeObserver(() => panes.forEach(hint));
  panes.forEach((pane) => watch.observe(pane));
  raw?.addEventListener("click", () => set("raw"));
  diff?.addEventListener("click", () => set("diff"));
  return {
    key(event) {
      if (event.key === "m") set("raw");
      else if (event.key === "d" && diff) set("diff");
      else return false;
      return true;
    },
  };
}
