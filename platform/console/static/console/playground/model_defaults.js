// Defaults of the selected checkpoint: filled in when it is chosen, and on a form that has not been changed yet.
import { known } from "./choices.js";

const form = document.getElementById("playground");
const fields = form.elements;
const NAMES = ["num_inference_steps", "guidance_scale", "sampler", "scheduler", "width", "height", "clip_skip", "negative_prompt"];
const UNTOUCHED = { sampler: "Euler", scheduler: "Automatic" };

const apply = (onlyUntouched) => {
  const defaults = known.models.checkpoint?.find((model) => model.name === fields.checkpoint.value)?.defaults ?? {};
  for (const name of NAMES) {
    const field = fields[name];
    if (!(name in defaults) || !field) continue;
    const initial = UNTOUCHED[name] ?? field.defaultValue;
    // A negative prompt that somebody wrote is kept.
    if ((onlyUntouched || name === "negative_prompt") && field.value !== initial) continue;
    field.value = defaults[name];
  }
  form.dispatchEvent(new Event("input"));
};
fields.checkpoint.addEventListener("change", () => apply(false));
form.addEventListener("choices", () => apply(true), { once: true });
