// History of this browser: the form and the jobs of the last submissions. Jobs are read from the server again.
import { getJson, upload } from "./api.js";
import { fillFitting } from "./choices.js";
import { controls } from "./controls.js";
import { initImage, setMode } from "./image/init_image.js";
import { mask } from "./image/mask.js";
import { loras } from "./loras.js";
import { layOut, showJob } from "./results.js";
import { forget, keep, stored } from "./stored_images.js";
import { styles } from "./styles.js";
import { showText, text } from "./texts.js";

const form = document.getElementById("playground");
const fields = form.elements;
const root = document.getElementById("history");
const KEY = `atelier-playground-${form.dataset.user}`;
const MOST = 40;

const read = () => {
  try {
    const entries = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(entries) ? entries : [];
  } catch {
    return [];
  }
};
const write = (entries) => {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries));
  } catch {
    // The browser keeps nothing for this page.
  }
};

const SKIPPED = ["csrfmiddlewaretoken"];
const named = () => [...fields].filter((field) => field.name && field.type !== "file" && !SKIPPED.includes(field.name));
const stateOf = () => ({
  values: named().filter((field) => field.type !== "radio").map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]),
  mode: fields.mode.value,
  loras: loras.state(),
  styles: styles.state(),
  controls: controls.state(),
  mask: mask.state(),
});

const keyed = async (blob) => {
  if (!blob) return null;
  const key = await upload(blob);
  await keep(key, blob);
  return key;
};

export const remember = async (jobs, result) => {
  const entry = {
    at: Date.now(),
    source: fields.source.value,
    prompt: fields.prompt.value,
    jobs: jobs.map((job) => job?.url ?? null),
    layout: { ...result, x: axis(result.x), y: axis(result.y), cells: result.cells.map(({ x, y, label }) => ({ x, y, label })) },
    form: stateOf(),
    image: await keyed(initImage.blob),
    units: await Promise.all(controls.blobs().map(keyed)),
  };
  const entries = [entry, ...read()];
  const kept = entries.slice(0, MOST);
  const used = new Set(kept.flatMap((each) => [each.image, ...each.units]));
  for (const each of entries.slice(MOST)) {
    for (const key of [each.image, ...each.units]) if (key && !used.has(key)) forget(key);
  }
  write(kept);
  show();
};
const axis = ({ name, values }) => ({ name, values });

const restore = async (entry) => {
  const state = document.getElementById("state");
  for (const [name, value] of entry.form.values) {
    const field = fields[name];
    if (!field || field instanceof RadioNodeList) continue;
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
  }
  fillFitting();
  for (const [name, value] of entry.form.values) if (["vae", "refiner", "hires_upscaler"].includes(name)) fields[name].value = value;
  const blobOf = async (key) => (key ? ((await stored(key)) ?? null) : null);
  const image = await blobOf(entry.image);
  await initImage.set(image);
  for (const name of ["width", "height"]) fields[name].value = Object.fromEntries(entry.form.values)[name];
  setMode(entry.form.mode);
  mask.restore(entry.form.mask);
  loras.restore(entry.form.loras);
  styles.restore(entry.form.styles);
  controls.restore(entry.form.controls, await Promise.all(entry.units.map(blobOf)));
  form.dispatchEvent(new Event("input"));
  showText(state, text(entry.image && !image ? "image_gone" : "restored"), Boolean(entry.image && !image));
  const boxes = layOut(entry.layout);
  for (const [index, url] of entry.jobs.entries()) {
    if (!url) continue;
    try {
      await showJob(await getJson(url), boxes[index]);
    } catch (error) {
      showText(state, error.message, true);
    }
  }
};

export const show = () => {
  const entries = read();
  const rows = entries.map((entry) => {
    const row = document.createElement("li");
    const open = Object.assign(document.createElement("button"), { type: "button", className: "at-entry" });
    const time = Object.assign(document.createElement("small"), { textContent: new Date(entry.at).toLocaleString(document.documentElement.lang) });
    open.append(entry.prompt || "–", time);
    open.addEventListener("click", () => restore(entry));
    row.append(open);
    return row;
  });
  root.replaceChildren(...rows);
  root.closest("section").hidden = !rows.length;
};
document.getElementById("forget").addEventListener("click", () => {
  for (const entry of read()) for (const key of [entry.image, ...entry.units]) if (key) forget(key);
  write([]);
  show();
});
