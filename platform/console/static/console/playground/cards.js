// Picker with cards: sample image, name, family and trigger words of the models that fit the checkpoint.
import { fitting, known } from "./choices.js";
import { text } from "./texts.js";

const dialog = document.getElementById("cards");
const grid = dialog.querySelector("[data-grid]");
const search = dialog.querySelector("input");
const empty = dialog.querySelector("[data-empty]");
let chosen = null; // kind and select that the dialog is open for

const element = (tag, className, content = "") => Object.assign(document.createElement(tag), { className, textContent: content });
const card = (model, kind, select) => {
  const button = element("button", "at-model-card");
  button.type = "button";
  button.setAttribute("aria-pressed", String(select.value === model.name));
  const sample = known.samples[`${kind}:${model.name}`];
  if (sample) button.append(Object.assign(new Image(), { src: sample, alt: "", loading: "lazy" }));
  else button.append(element("span", "at-no-sample", model.name.slice(0, 2)));
  const details = [text(`family_${model.family}`), ...(model.trigger_words ?? [])].join(" · ");
  button.append(element("strong", "", model.name), element("small", "", details));
  button.addEventListener("click", () => {
    select.value = model.name;
    dialog.close();
    select.dispatchEvent(new Event("change", { bubbles: true }));
    select.dispatchEvent(new Event("input", { bubbles: true }));
    select.focus();
  });
  return button;
};
const show = () => {
  const wanted = search.value.trim().toLowerCase();
  const matches = (model) => [model.name, ...(model.trigger_words ?? [])].join(" ").toLowerCase().includes(wanted);
  const models = (chosen.kind === "checkpoint" ? (known.models.checkpoint ?? []) : fitting(chosen.kind)).filter(matches);
  grid.replaceChildren(...models.map((model) => card(model, chosen.kind, chosen.select)));
  empty.hidden = models.length > 0;
};
search.addEventListener("input", show);
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());

export const addBrowser = (button, kind, select) =>
  button.addEventListener("click", () => {
    chosen = { kind, select };
    search.value = "";
    show();
    dialog.showModal();
  });
