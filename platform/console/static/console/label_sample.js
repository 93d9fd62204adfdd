"use strict";
/* Images tab of a source: a sample of the label beside its fields, drawn anew when one of them changes. */
(() => {
  const sample = document.getElementById("label-sample");
  const fields = document.querySelector("fieldset.at-labels");
  if (!sample || !fields) return;
  fields.append(sample);
  const image = sample.querySelector("img");
  const note = document.getElementById("label-sample-note");
  const names = ["explicit_label", "label_text", "label_corner", "label_height", "label_opacity"];
  const inputs = names.map((name) => fields.querySelector(`[name="${name}"]`)).filter(Boolean);

  let timer, last = 0;
  const show = async (url) => {
    const number = ++last;
    const response = await fetch(url).catch(() => null);
    const problem = response && !response.ok ? ((await response.json().catch(() => ({}))).detail ?? `HTTP ${response.status}`) : "";
    if (number !== last || !response) return; // a newer one is on its way
    note.textContent = response.headers.get("X-Label") === "off" ? sample.dataset.off : problem;
    image.hidden = !response.ok;
    if (response.ok) image.src = URL.createObjectURL(await response.blob());
  };
  const redraw = () => {
    clearTimeout(timer);
    const values = new URLSearchParams(inputs.filter((input) => input.value).map((input) => [input.name, input.value]));
    timer = setTimeout(() => show(`${sample.dataset.url}?${values}`), 200);
  };
  image.addEventListener("load", () => image.src.startsWith("blob:") && URL.revokeObjectURL(image.src));
  for (const input of inputs) input.addEventListener("input", redraw);
  show(image.getAttribute("src"));
})();
