// Generation parameters of an image file: read by the server, and applied to the form on demand.
import { messageOf, send } from "./api.js";
import { fillFitting } from "./choices.js";
import { initImage, setMode } from "./image/init_image.js";
import { loras } from "./loras.js";
import { showText, text } from "./texts.js";

const form = document.getElementById("playground");
const fields = form.elements;
const [box, infotext, note, apply] = ["found", "found-text", "found-note", "apply-parameters"].map((id) => document.getElementById(id));
let found = null;

initImage.addEventListener("change", async () => {
  const { blob } = initImage;
  box.hidden = true;
  found = null;
  if (!blob) return;
  try {
    const response = await send(form.dataset.parameters, { method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" } });
    const answer = await response.json();
    if (blob !== initImage.blob || !answer.infotext) return;
    found = answer;
    infotext.textContent = answer.infotext;
    showText(note, "");
    box.hidden = false;
  } catch (error) {
    showText(document.getElementById("image-note"), messageOf(error), true);
  }
});

apply.addEventListener("click", () => {
  const { fields: values, loras: uses, is_txt2img, not_used } = found;
  setMode(is_txt2img ? "txt2img" : "img2img");
  const missing = [];
  fields.hires.checked = false;
  for (const [name, value] of Object.entries(values)) {
    const field = fields[name];
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
    if (field.type !== "checkbox" && field.value !== String(value)) missing.push(String(value));
    if (name === "checkpoint") fillFitting();
  }
  loras.restore(uses);
  form.dispatchEvent(new Event("input"));
  const left = [...not_used, ...missing];
  showText(note, left.length ? text("not_applied", { names: left.join(", ") }) : text("applied"));
});
