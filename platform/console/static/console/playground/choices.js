// Choices of models, samplers, styles and preprocessors for the selected source. Only what fits the checkpoint is offered.
import { getJson, list } from "./api.js";

const form = document.getElementById("playground");
const fields = form.elements;
const KINDS = ["checkpoint", "lora", "vae", "controlnet", "upscaler"];

// What the source may use: models by kind, and the lists of the console.
export const known = { models: {}, styles: [], modules: [], latent_upscalers: [], samples: {}, dialects: [] };

export const fill = (select, options, chosen = "") => {
  const before = select.dataset.wanted ?? select.value;
  delete select.dataset.wanted;
  const values = options.map((option) => option.value);
  select.replaceChildren(...options.map((option) => new Option(option.label ?? option.value, option.value)));
  select.value = before && values.includes(before) ? before : values.includes(chosen) ? chosen : (values[0] ?? "");
};
const named = (items) => items.map((item) => ({ value: item.name }));
const none = (label = "–") => ({ value: "", label });

const checkpoint = () => known.models.checkpoint?.find((model) => model.name === fields.checkpoint.value);
export const fitting = (kind) => {
  const family = checkpoint()?.family;
  const fits = (model) => [family, "unknown"].includes(model.family) || !family || family === "unknown";
  return (known.models[kind] ?? []).filter(fits);
};

export const loadChoices = async () => {
  const source = fields.source.value;
  const lists = KINDS.map((kind) => list(`${form.dataset.models}?kind=${kind}`));
  const [samplers, schedulers, others, ...models] = await Promise.all([
    list(form.dataset.samplers),
    list(form.dataset.schedulers),
    getJson(`${form.dataset.choices}?source=${encodeURIComponent(source)}`),
    ...lists,
  ]);
  if (source !== fields.source.value) return; // another source was chosen meanwhile
  Object.assign(known, others, { models: Object.fromEntries(KINDS.map((kind, index) => [kind, models[index]])) });
  fill(fields.checkpoint, named(known.models.checkpoint), known.models.checkpoint.find((model) => model.is_default)?.name);
  fill(fields.sampler, named(samplers), "Euler");
  fill(fields.scheduler, named(schedulers), "Automatic");
  fillFitting();
};

export const fillFitting = () => {
  fill(fields.vae, [none(), ...named(fitting("vae"))]);
  fill(fields.refiner, [none(), ...named(fitting("checkpoint"))]);
  fill(fields.hires_upscaler, [...known.latent_upscalers.map((value) => ({ value })), ...named(known.models.upscaler)], "Latent");
  form.dispatchEvent(new CustomEvent("choices"));
};
fields.checkpoint.addEventListener("change", fillFitting);
