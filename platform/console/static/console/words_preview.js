"use strict";
/* The words that a prompt style makes, while it is being written. The server puts them together. */
{
  const panel = document.getElementById("words-preview");
  const QUIET_MS = 300;
  const inputs = {
    style: document.getElementById("id_prompt"),
    negative_style: document.getElementById("id_negative_prompt"),
    prompt: document.getElementById("preview-prompt"),
    negative_prompt: document.getElementById("preview-negative"),
  };
  const values = () => Object.entries(inputs).map(([name, input]) => [name, input?.value ?? ""]);

  const show = async () => {
    const headers = { "X-CSRFToken": panel.dataset.csrf };
    const answer = await fetch(panel.dataset.url, { method: "POST", headers, body: new URLSearchParams(values()) });
    if (!answer.ok) return;
    for (const [name, text] of Object.entries(await answer.json())) {
      panel.querySelector(`[data-words="${name}"]`).textContent = text || "–";
    }
  };

  let timer = null;
  for (const input of Object.values(inputs)) {
    input?.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => show().catch(() => {}), QUIET_MS);
    });
  }
  show().catch(() => {});
}
