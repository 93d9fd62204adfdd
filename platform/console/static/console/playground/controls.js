// ControlNet units: an image, a preprocessor, a ControlNet and its weight. The preview runs the preprocessor alone.
import { messageOf, send, submit, upload } from "./api.js";
import { fill, fitting, known } from "./choices.js";
import { events } from "./events.js";
import { initImage, mode } from "./image/init_image.js";
import { ImageSlot } from "./image/slot.js";
import { Rows, fieldOf } from "./rows.js";
import { showText, text } from "./texts.js";

const form = document.getElementById("playground");
const slots = new WeakMap();
const changed = () => form.dispatchEvent(new Event("input"));
const numberOf = (row, name) => Number(fieldOf(row, name).value);
const moduleOf = (row) => known.modules.find((module) => module.name === fieldOf(row, "module").value);

const fillRow = (row) => {
  fill(fieldOf(row, "module"), known.modules.map((module) => ({ value: module.name, label: module.title })), "none");
  fill(fieldOf(row, "model"), [{ value: "", label: "–" }, ...fitting("controlnet").map((model) => ({ value: model.name }))]);
  showSliders(row);
};
// The preprocessor's own settings, with its names, ranges and defaults.
const showSliders = (row) => {
  const module = moduleOf(row);
  for (const [index, name] of ["threshold_a", "threshold_b"].entries()) {
    const slider = module?.sliders[index];
    const input = fieldOf(row, name);
    input.closest("label").hidden = !slider;
    input.disabled = !slider;
    if (!slider) continue;
    input.closest("label").querySelector("span").textContent = slider.name;
    Object.assign(input, { min: slider.minimum, max: slider.maximum, step: "any", value: slider.value });
  }
  const resolution = fieldOf(row, "processor_res");
  resolution.disabled = resolution.closest("label").hidden = !module?.resolution;
  if (module?.resolution) Object.assign(resolution, { min: module.resolution.minimum, max: module.resolution.maximum });
};

const unitOf = async (row, image) => {
  const unit = { module: fieldOf(row, "module").value };
  for (const name of ["processor_res", "threshold_a", "threshold_b"]) {
    const input = fieldOf(row, name);
    if (!input.disabled && input.value !== "") unit[name] = Number(input.value);
  }
  if (image) unit.image = await upload(image);
  return unit;
};
const preview = async (row) => {
  const status = row.querySelector("[data-preview-status]"), button = row.querySelector("[data-preview]");
  const image = slots.get(row).blob ?? initImage.blob;
  if (!image) return showText(status, text("control_image"), true);
  button.disabled = true;
  showText(status, text("preprocessing"));
  try {
    const unit = await unitOf(row, image);
    const body = { task: "control_map", init_images: [unit.image], controls: [unit], lane: "interactive" };
    const job = await submit(body);
    for await (const event of events(`${job.url}/events`, () => showText(status, text("unreachable")))) {
      if (event.event === "end") await showMap(row, JSON.parse(event.data), status);
    }
  } catch (error) {
    showText(status, messageOf(error), true);
  }
  button.disabled = false;
};
const showMap = async (row, job, status) => {
  const output = job.outputs[0];
  if (!output) return showText(status, text(job.state, { message: job.error?.message ?? "" }), true);
  const map = row.querySelector("[data-map]");
  if (map.src) URL.revokeObjectURL(map.src);
  map.src = URL.createObjectURL(await (await send(output.url)).blob());
  map.hidden = false;
  showText(status, text("map_of", { module: moduleOf(row).title }));
};

const rows = new Rows("control", changed, (row) => {
  const slot = new ImageSlot(row.querySelector("[data-slot]"));
  slots.set(row, slot);
  slot.addEventListener("change", changed);
  slot.addEventListener("unreadable", () => showText(row.querySelector("[data-preview-status]"), text("unreadable"), true));
  fieldOf(row, "module").addEventListener("change", () => {
    row.querySelector("[data-map]").hidden = true;
    showSliders(row);
  });
  row.querySelector("[data-preview]").addEventListener("click", () => preview(row));
  fillRow(row);
});
form.addEventListener("choices", () => rows.all.forEach(fillRow));

const SETTINGS = ["model", "control_mode", "resize_mode"];
const NUMBERS = ["weight", "guidance_start", "guidance_end"];
const STATE = ["module", ...SETTINGS, ...NUMBERS, "processor_res", "threshold_a", "threshold_b"];

export const controls = {
  // Units with a ControlNet, or with a preprocessor that acts without one.
  units: () =>
    Promise.all(
      rows.all
        .filter((row) => fieldOf(row, "model").value || moduleOf(row)?.model_free)
        .map(async (row) => {
          const unit = await unitOf(row, slots.get(row).blob);
          for (const name of SETTINGS) unit[name] = fieldOf(row, name).value;
          for (const name of NUMBERS) unit[name] = numberOf(row, name);
          return unit;
        }),
    ),
  // What a user has to complete, or null.
  problem: () => {
    const idle = rows.all.some((row) => !fieldOf(row, "model").value && !moduleOf(row)?.model_free);
    if (idle) return text("control_model");
    const without = rows.all.some((row) => !slots.get(row).blob);
    return without && mode() === "txt2img" ? text("control_image") : null;
  },
  state: () => rows.all.map((row) => Object.fromEntries(STATE.map((name) => [name, fieldOf(row, name).value]))),
  blobs: () => rows.all.map((row) => slots.get(row).blob),
  restore(state, blobs = []) {
    rows.clear();
    for (const [index, saved] of (state ?? []).entries()) {
      const row = rows.add();
      fieldOf(row, "module").value = saved.module;
      showSliders(row);
      for (const name of STATE) fieldOf(row, name).value = saved[name];
      if (blobs[index]) slots.get(row).set(blobs[index]);
    }
  },
};
