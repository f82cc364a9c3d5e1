"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("specs").textContent);
  // `ast`: expressions are interpreted, so that the page needs no `unsafe-eval`.
  const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false,
    tooltip: { disableDefaultStyle: true, theme: "page" } };
  for (const host of document.querySelectorAll("[data-chart]")) {
    const live = document.createElement("div");
    live.className = "live drawing";
    host.append(live);
    vegaEmbed(live, specs[host.dataset.chart], options).then(() => {
      host.replaceChildren(live);
      live.classList.remove("drawing");
      host.dataset.drawn = "yes";
    }).catch((error) => { live.remove(); console.error(error); });
  }
})();
