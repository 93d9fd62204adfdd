// Parts of a page that are asked for again: <div data-live="URL" data-every="SECONDS">. What has the focus keeps it.
(() => {
  const drawn = (canvas) => {
    const given = [JSON.parse(canvas.dataset.value), JSON.parse(canvas.dataset.options)];
    return new Chart(canvas, { type: canvas.dataset.type, data: given[0], options: given[1] });
  };

  // A chart moves over into the new part as it is, so that a pointer over it is not disturbed.
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
    for (const canvas of part.querySelectorAll("canvas.chart")) if (!Chart.getChart(canvas)) drawn(canvas);
    if (focused) [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
  };

  // Cells of a table, each by its id.
  const replaceCells = (_place, html) => {
    const fresh = document.createElement("div");
    fresh.innerHTML = html;
    for (const cell of [...fresh.children]) document.getElementById(cell.id)?.replaceWith(cell);
  };

  const follow = (place, url, show) => {
    const look = async () => {
      if (!document.hidden) {
        try {
          const answer = await fetch(url, { headers: { "X-Requested-With": "XMLHttpRequest" } });
          if (answer.redirected) return location.reload(); // signed out
          if (answer.ok) show(place, await answer.text());
        } catch (error) {
          if (!(error instanceof TypeError)) throw error; // the server is away: again in a moment
        }
      }
      setTimeout(look, 1000 * place.dataset.every);
    };
    setTimeout(look, 1000 * place.dataset.every);
  };

  const begin = () => {
    for (const part of document.querySelectorAll("[data-live]")) follow(part, part.dataset.live, replace);
    for (const mark of document.querySelectorAll("[data-live-cells]")) follow(mark, mark.dataset.liveCells, replaceCells);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
