"use strict";
(() => {
  // `ast`: expressions are interpreted, so that the page needs no `unsafe-eval`.
  const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false,
    tooltip: { disableDefaultStyle: true, theme: "page" } };
  window.drawChart = (host, spec) => {
    const live = document.createElement("div");
    live.className = "live drawing";
    host.append(live);
    return vegaEmbed(live, spec, options).then((drawn) => {
      host.drawing?.finalize();
      host.drawing = drawn;
      host.replaceChildren(live);
      live.classList.remove("drawing");
      host.dataset.drawn = "yes";
    }).catch((error) => { live.remove(); console.error(error); });
  };
  const block = document.getElementById("specs");
  if (!block) return;
  const specs = JSON.parse(block.textContent);
  for (const host of document.querySelectorAll("[data-chart]")) window.drawChart(host, specs[host.dataset.chart]);
})();
