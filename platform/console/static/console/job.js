"use strict";

// A job that has not ended: asks how it stands until it has, and then for the whole page again.
const live = document.getElementById("job-live");
const part = (name) => live.querySelector(`[data-live="${name}"]`);

function show(told) {
  part("waits").textContent = told.waits;
  part("steps").textContent = told.steps;
  part("bar").style.width = `${told.percent}%`;
  part("bar").parentElement.setAttribute("aria-valuenow", Math.round(told.percent));
  const preview = part("preview");
  preview.hidden = !told.preview;
  if (told.preview && preview.getAttribute("src") !== told.preview) preview.src = told.preview;
}

async function follow() {
  let wait = 1000;
  try {
    const answer = await fetch(live.dataset.url, { headers: { Accept: "application/json" } });
    if (answer.redirected || answer.status === 403 || answer.status === 404) return; // signed out, or gone
    const told = await answer.json();
    if (told.state !== live.dataset.state) return location.reload();
    show(told);
  } catch {
    wait = 5000; // the server is away for a moment
  }
  setTimeout(follow, document.hidden ? 10000 : wait);
}

if (live) setTimeout(follow, 1000);

if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => navigator.clipboard.writeText(button.nextElementSibling.textContent));
  }
}
