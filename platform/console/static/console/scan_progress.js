"use strict";
/* Shows how far a scan is, and loads the list anew when one ends that was seen under way. */
{
  const panel = document.getElementById("scan-progress");
  const bar = panel?.querySelector("progress");
  const text = panel?.querySelector("[role=status]");
  const EVERY_MS = 1000;

  const look = async (wasUnderWay) => {
    const answer = await fetch(panel.dataset.url, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const scan = await answer.json();
    text.textContent = scan.text;
    bar.hidden = !scan.under_way;
    if (scan.files) {
      bar.max = scan.files;
      bar.value = scan.done;
    } else {
      bar.removeAttribute("value");
    }
    if (scan.under_way) setTimeout(() => look(true).catch(() => {}), EVERY_MS);
    else if (wasUnderWay) location.reload();
  };

  if (panel) look(panel.dataset.underWay === "yes").catch(() => {});
}
