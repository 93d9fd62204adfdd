"use strict";
/* Follows a job until it ends: <div data-watch-job="address of its state">, with a progress bar, a line and a place for
   pictures inside. With data-reload the page is loaded anew at the end instead. */
{
  const EVERY_MS = 700;

  const show = (place, job) => {
    const bar = place.querySelector("progress");
    bar.hidden = job.ended;
    bar.value = job.progress;
    place.querySelector("[role=status]").textContent = job.error ? `${job.state_label}: ${job.error}` : job.state_label;
    const pictures = place.querySelector("[data-pictures]");
    if (!job.ended || !pictures) return;
    pictures.replaceChildren(
      ...job.pictures.map((address) => {
        const picture = document.createElement("img");
        picture.src = address;
        picture.alt = pictures.dataset.alt ?? "";
        picture.className = "max-w-full rounded-default";
        return picture;
      }),
    );
  };

  const follow = async (place) => {
    const answer = await fetch(place.dataset.watchJob, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const job = await answer.json();
    show(place, job);
    if (!job.ended) setTimeout(() => follow(place).catch(() => {}), EVERY_MS);
    else if (place.hasAttribute("data-reload")) location.reload();
  };

  for (const place of document.querySelectorAll("[data-watch-job]")) follow(place).catch(() => {});
}
