"use strict";
/* <div data-watch-job="where to ask">, with a progress bar and a line inside: follows the job, and loads the page anew at
   its end. */
{
  const EVERY_MS = 700;

  const follow = async (place) => {
    const answer = await fetch(place.dataset.watchJob, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const job = await answer.json();
    if (job.ended) {
      location.reload();
      return;
    }
    place.querySelector("progress").value = job.percent;
    place.querySelector("[role=status]").textContent = [job.label, job.steps, job.waits].filter(Boolean).join(" · ");
    setTimeout(() => follow(place).catch(() => {}), EVERY_MS);
  };

  for (const place of document.querySelectorAll("[data-watch-job]")) follow(place).catch(() => {});
}
