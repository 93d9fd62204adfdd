"use strict";

// Refreshes the table of jobs. While rows are selected, or one has the focus, rows change but neither move nor go.
window.addEventListener("load", () => {
  const box = document.querySelector(".job-refresh input");
  const table = () => document.getElementById("result_list");
  if (!box || !table()) return;
  const STORED = "atelier.jobs.refresh";

  const rowsOf = (root) => [...root.querySelectorAll("#result_list tbody")];
  const checkbox = (row) => row.querySelector("input.action-select");
  const idOf = (row) => checkbox(row)?.value ?? row.querySelector("th a, td a")?.getAttribute("href");
  const hasFocus = (row) => row.contains(document.activeElement) && document.activeElement.matches(":focus-visible");
  const shown = new WeakMap(); // HTML of the cells, as the server sent them

  // The checkbox stays, because the scripts of the admin hold on to it.
  const update = (row, fresh) => {
    const cells = [...fresh.querySelectorAll("tr > *")].filter((cell) => !cell.querySelector("input.action-select"));
    const html = cells.map((cell) => cell.outerHTML).join("");
    if (shown.get(row) === html || hasFocus(row)) return;
    shown.set(row, html);
    if (checkbox(row)) checkbox(row).value = checkbox(fresh).value;
    const old = [...row.querySelectorAll("tr > *")].filter((cell) => !cell.querySelector("input.action-select"));
    cells.forEach((cell, index) => (old[index] ? old[index].replaceWith(cell) : row.querySelector("tr").append(cell)));
  };

  // The scripts of the admin count the checkboxes that they found when the page was loaded.
  const countAgain = () => {
    const toggle = document.getElementById("action-toggle");
    if (!toggle || !window.Actions) return;
    toggle.replaceWith(toggle.cloneNode(true));
    window.Actions(document.querySelectorAll("tr input.action-select"));
  };

  const show = (fresh) => {
    const rows = rowsOf(document);
    const isHeld = rows.some((row) => checkbox(row)?.checked || hasFocus(row));
    if (isHeld) {
      const byId = new Map(fresh.map((row) => [idOf(row), row]));
      for (const row of rows) if (byId.has(idOf(row))) update(row, byId.get(idOf(row)));
      return;
    }
    rows.slice(0, fresh.length).forEach((row, index) => update(row, fresh[index]));
    rows.slice(fresh.length).forEach((row) => row.remove());
    table().append(...fresh.slice(rows.length));
    if (rows.length !== fresh.length) countAgain();
  };

  const isBusy = () => document.querySelector("select[name=action]")?.value || document.querySelector("dialog[open]");

  const refresh = async () => {
    if (!document.hidden && box.checked && !isBusy()) {
      try {
        const response = await fetch(location.href, { headers: { "X-Refresh": "1" } });
        if (response.redirected) return location.reload(); // signed out
        if (response.ok) {
          const page = new DOMParser().parseFromString(await response.text(), "text/html");
          const fresh = rowsOf(page);
          if (fresh.length && !isBusy()) show(fresh);
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // a TypeError means a network error: retry later
      }
    }
    setTimeout(refresh, 1000 * box.parentElement.dataset.every);
  };

  box.checked = localStorage.getItem(STORED) !== "off";
  box.addEventListener("change", () => localStorage.setItem(STORED, box.checked ? "on" : "off"));
  box.parentElement.hidden = false;
  setTimeout(refresh, 1000 * box.parentElement.dataset.every);
});
