"use strict";
/* Previews the prompts that a prompt style produces while it is edited. The server combines them. */
{
  const panel = document.getElementById("prompt-preview");
  const DEBOUNCE_MS = 300;
  const inputs = {
    style: document.getElementById("id_prompt"),
    negative_style: document.getElementById("id_negative_prompt"),
    prompt: document.getElementById("preview-prompt"),
    negative_prompt: document.getElementById("preview-negative"),
  };
  const values = () => Object.entries(inputs).map(([name, input]) => [name, input?.value ?? ""]);

  const show = async () => {
    const headers = { "X-CSRFToken": panel.dataset.csrf };
    const response = await fetch(panel.dataset.url, { method: "POST", headers, body: new URLSearchParams(values()) });
    if (!response.ok) return;
    for (const [name, text] of Object.entries(await response.json())) {
      panel.querySelector(`[data-result="${name}"]`).textContent = text || "–";
    }
  };

  let timer = null;
  for (const input of Object.values(inputs)) {
    input?.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => show().catch(() => {}), DEBOUNCE_MS);
    });
  }
  show().catch(() => {});
}
