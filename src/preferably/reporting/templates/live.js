"use strict";
(() => {
  const parts = document.querySelectorAll("[data-part]"), connection = document.getElementById("connection");
  let version = "", charts = {}, answered = null;
  const show = (state) => {
    version = state.version;
    document.title = state.title;
    for (const part of parts) {
      const html = state.parts[part.dataset.part];  // made and escaped by the server; no script in it may run
      if (part.shown !== html) part.innerHTML = part.shown = html;
    }
    charts = Object.fromEntries(Object.entries(state.charts).map(([slug, spec]) => [slug, JSON.stringify(spec)]));
  };
  const draw = () => {
    for (const host of document.querySelectorAll("[data-chart]")) {
      const spec = charts[host.dataset.chart];
      if (host.spec === spec || host.matches(":hover")) continue;  // nothing moves under the pointer
      host.spec = spec;
      window.drawChart(host, JSON.parse(spec));
    }
  };
  const ask = async () => {
    try {
      const answer = await fetch(`state?have=${version}`, { cache: "no-store" });
      if (answer.status === 200) show(await answer.json());
      else if (answer.status !== 204) throw new Error(`status ${answer.status}`);
      answered = new Date();
      connection.textContent = "";
    } catch (error) {
      const since = answered ? ` What is below is of ${answered.toLocaleTimeString()}.` : "";
      connection.textContent = `No answer from the command that serves this page: is it still running?${since}`;
    }
    draw();
    setTimeout(ask, 2000);
  };
  ask();
})();
