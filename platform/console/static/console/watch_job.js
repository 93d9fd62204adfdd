"use strict";
/* <div data-watch-job="URL"> with a progress bar and a status line inside: polls the job's progress, and reloads the page
   when the job ends. */
{
  const POLL_INTERVAL_MS = 700;

  const poll = async (element) => {
    const response = await fetch(element.dataset.watchJob, { headers: { Accept: "application/json" } });
    if (!response.ok || response.redirected) return;
    const job = await response.json();
    if (job.ended) {
      location.reload();
      return;
    }
    element.querySelector("progress").value = job.percent;
    element.querySelector("[role=status]").textContent = [job.label, job.steps, job.waits].filter(Boolean).join(" · ");
    setTimeout(() => poll(element).catch(() => {}), POLL_INTERVAL_MS);
  };

  for (const element of document.querySelectorAll("[data-watch-job]")) poll(element).catch(() => {});
}
