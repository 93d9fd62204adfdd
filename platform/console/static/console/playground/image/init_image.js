// The init image: chosen, dropped or pasted anywhere on the page. Its size becomes the size of the output.
import { text, showText } from "../texts.js";
import { ImageSlot, imageIn } from "./slot.js";

const form = document.getElementById("playground");
const fields = form.elements;
const LONGEST = 1024;
const note = document.getElementById("image-note");

export const initImage = new ImageSlot(document.getElementById("init-image"));
export const mode = () => fields.mode.value;
export const setMode = (name) => {
  fields.mode.value = name;
  showMode();
};

// Parts of the form that belong to some modes only. A disabled fieldset is not validated.
export const showMode = () => {
  for (const part of form.querySelectorAll("[data-modes]")) {
    const shown = part.dataset.modes.split(" ").includes(mode());
    part.hidden = !shown;
    if ("disabled" in part) part.disabled = !shown;
  }
  form.dispatchEvent(new CustomEvent("mode"));
};

const multiple = (side) => Math.max(64, Math.round(side / 8) * 8);
export const fitSize = (width, height) => {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  fields.width.value = multiple(width * scale);
  fields.height.value = multiple(height * scale);
};

initImage.addEventListener("unreadable", () => showText(note, text("unreadable"), true));
initImage.addEventListener("change", () => {
  const { bitmap } = initImage;
  showText(note, bitmap ? `${bitmap.width} × ${bitmap.height}` : "");
  if (bitmap) {
    fitSize(bitmap.width, bitmap.height);
    if (mode() === "txt2img") setMode("img2img");
  }
  form.dispatchEvent(new Event("input"));
});
form.addEventListener("change", (event) => event.target.name === "mode" && showMode());
document.addEventListener("paste", (event) => {
  const file = imageIn(event.clipboardData);
  if (!file) return;
  event.preventDefault();
  initImage.set(file);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  const file = imageIn(event.dataTransfer);
  if (!file) return;
  event.preventDefault();
  initImage.set(file);
});
