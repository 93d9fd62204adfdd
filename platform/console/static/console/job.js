"use strict";

// Polls the progress of an unfinished job, and reloads the page when the job's state changes.
const live = document.getElementById("job-live");
const part = (name) => live.querySelector(`[data-live="${name}"]`);

function show(progress) {
  part("waits").textContent = progress.waits;
  part("steps").textContent = progress.steps;
  part("bar").style.width = `${progress.percent}%`;
  part("bar").parentElement.setAttribute("aria-valuenow", Math.round(progress.percent));
  const preview = part("preview");
  preview.hidden = !progress.preview;
  if (progress.preview && preview.getAttribute("src") !== progress.preview) preview.src = progress.preview;
}

async function poll() {
  let wait = 1000;
  try {
    const response = await fetch(live.dataset.url, { headers: { Accept: "application/json" } });
    if (response.redirected || response.status === 403 || response.status === 404) return; // signed out, or deleted
    const progress = await response.json();
    if (progress.state !== live.dataset.state) return location.reload();
    show(progress);
  } catch {
    wait = 5000; // the server is temporarily unavailable
  }
  setTimeout(poll, document.hidden ? 10000 : wait);
}

if (live) setTimeout(poll, 1000);
