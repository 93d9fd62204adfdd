// Refreshes parts of a page periodically: <div data-live="URL" data-every="SECONDS">. The focused link keeps the focus.
(() => {
  const createChart = (canvas) => {
    const data = JSON.parse(canvas.dataset.value);
    return new Chart(canvas, { type: canvas.dataset.type, data, options: JSON.parse(canvas.dataset.options) });
  };

  // Existing charts are moved into the new HTML and updated, so that their tooltips stay open.
  const keepCharts = (old, fresh) => {
    for (const canvas of fresh.querySelectorAll("canvas.chart[id]")) {
      const kept = old.querySelector(`#${canvas.id}`);
      const chart = kept && Chart.getChart(kept);
      if (!chart) continue;
      if (kept.dataset.value !== canvas.dataset.value) {
        kept.dataset.value = canvas.dataset.value;
        chart.data = JSON.parse(canvas.dataset.value);
        chart.update("none");
      }
      canvas.parentNode.replaceWith(kept.parentNode);
    }
  };

  const replace = (part, html) => {
    const fresh = document.createElement("div");
    fresh.innerHTML = html;
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    keepCharts(part, fresh);
    part.replaceChildren(...fresh.childNodes);
    for (const canvas of part.querySelectorAll("canvas.chart")) if (!Chart.getChart(canvas)) createChart(canvas);
    if (focused) [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
  };

  // Replaces table cells by their element ids.
  const replaceCells = (_element, html) => {
    const fresh = document.createElement("div");
    fresh.innerHTML = html;
    for (const cell of [...fresh.children]) document.getElementById(cell.id)?.replaceWith(cell);
  };

  const poll = (element, url, show) => {
    const refresh = async () => {
      if (!document.hidden) {
        try {
          const response = await fetch(url, { headers: { "X-Requested-With": "XMLHttpRequest" } });
          if (response.redirected) return location.reload(); // signed out
          if (response.ok) show(element, await response.text());
        } catch (error) {
          if (!(error instanceof TypeError)) throw error; // a TypeError means a network error: retry later
        }
      }
      setTimeout(refresh, 1000 * element.dataset.every);
    };
    setTimeout(refresh, 1000 * element.dataset.every);
  };

  const start = () => {
    for (const part of document.querySelectorAll("[data-live]")) poll(part, part.dataset.live, replace);
    for (const part of document.querySelectorAll("[data-live-cells]")) poll(part, part.dataset.liveCells, replaceCells);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
