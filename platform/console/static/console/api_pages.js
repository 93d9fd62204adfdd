"use strict";
/* API pages: examples as tabs, and the example of the native API sent with the rights of the session. */
(() => {
  const list = document.querySelector("#examples [role=tablist]");
  if (list) {
    const tabs = [...list.querySelectorAll("[role=tab]")];
    const choose = (chosen) => {
      for (const tab of tabs) {
        const isChosen = tab === chosen;
        tab.setAttribute("aria-selected", String(isChosen));
        tab.tabIndex = isChosen ? 0 : -1;
        document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
      }
      try { localStorage.setItem("api-language", chosen.id); } catch { /* no storage: the first tab is shown next time */ }
    };
    for (const [index, tab] of tabs.entries()) {
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => choose(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = tabs[(index + step + tabs.length) % tabs.length];
        choose(next);
        next.focus();
      });
    }
    list.hidden = false;
    let last = null;
    try { last = localStorage.getItem("api-language"); } catch { /* no storage */ }
    choose(tabs.find((tab) => tab.id === last) ?? tabs[0]);
  }

  const button = document.getElementById("try-it");
  if (!button) return;
  const [state, image, answer] = ["try-state", "try-image", "try-answer"].map((id) => document.getElementById(id));
  const headers = {
    "X-Atelier-Source": button.dataset.source,
    "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value,
    "Content-Type": "application/json",
  };
  const call = async (url, options) => {
    const response = await fetch(url, { headers, ...options });
    const body = await response.json().catch(() => ({ status: response.status }));
    answer.textContent = JSON.stringify(body, null, 2);
    answer.hidden = false;
    if (!response.ok) throw new Error(body.detail ?? button.dataset.failed);
    return body;
  };
  button.addEventListener("click", async () => {
    button.disabled = true;
    image.hidden = true;
    state.textContent = button.dataset.waiting;
    try {
      const body = document.getElementById("try-body").textContent;
      let job = await call(button.dataset.url, { method: "POST", body });
      while (["queued", "running"].includes(job.state)) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        job = await call(job.url);
      }
      state.textContent = job.error?.message ?? job.state;
      if (job.outputs.length) {
        const response = await fetch(job.outputs[0].url, { headers });
        image.src = URL.createObjectURL(await response.blob());
        image.hidden = false;
      }
    } catch (error) {
      state.textContent = error instanceof TypeError ? button.dataset.failed : error.message;
    } finally {
      button.disabled = false;
    }
  });
})();
