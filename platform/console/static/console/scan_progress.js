"use strict";
/* Shows the progress of a running scan, and reloads the list when the scan ends. */
{
  const panel = document.getElementById("scan-progress");
  const bar = panel?.querySelector("progress");
  const text = panel?.querySelector("[role=status]");
  const POLL_INTERVAL_MS = 1000;

  const poll = async (wasRunning) => {
    const response = await fetch(panel.dataset.url, { headers: { Accept: "application/json" } });
    if (!response.ok) return;
    const scan = await response.json();
    text.textContent = scan.text;
    bar.hidden = !scan.under_way;
    if (scan.files) {
      bar.max = scan.files;
      bar.value = scan.done;
    } else {
      bar.removeAttribute("value");
    }
    if (scan.under_way) setTimeout(() => poll(true).catch(() => {}), POLL_INTERVAL_MS);
    else if (wasRunning) location.reload();
  };

  if (panel) poll(panel.dataset.underWay === "yes").catch(() => {});
}
