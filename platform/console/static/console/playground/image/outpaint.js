// Outpainting: the init image on a larger canvas, whose border is to be painted. The border starts with the edge's colors.
import { text } from "../texts.js";
import { initImage, mode } from "./init_image.js";

const form = document.getElementById("playground");
const fields = form.elements;
const SIDES = ["left", "top", "right", "bottom"];
const OVERLAP = 8; // pixels of the image's edge that are painted too, so that no seam shows
const line = document.getElementById("outpaint-size");

const margins = () => Object.fromEntries(SIDES.map((side) => [side, Number(fields[`outpaint_${side}`].value) || 0]));
export const outpaintSize = () => {
  const { left, top, right, bottom } = margins();
  const whole = (side) => Math.ceil(side / 8) * 8;
  return { width: whole(initImage.bitmap.width + left + right), height: whole(initImage.bitmap.height + top + bottom) };
};
export const extendsImage = () => Object.values(margins()).some((margin) => margin > 0);

const sheetOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
const png = (sheet) => new Promise((resolve) => sheet.toBlob(resolve, "image/png"));

let made = null;
// Canvas and mask as PNG blobs; the mask is white where it is painted.
export const outpainting = async () => {
  const { bitmap } = initImage;
  const { left, top } = margins();
  const { width, height } = outpaintSize();
  const key = [left, top, width, height].join();
  if (made?.bitmap === bitmap && made.key === key) return made;
  const canvas = sheetOf(width, height);
  const context = canvas.getContext("2d");
  const [right, bottom] = [width - left - bitmap.width, height - top - bitmap.height];
  context.drawImage(bitmap, left, top);
  // Each border repeats the outermost row or column; the corners follow from the borders above and below.
  const stretch = (from, to) => to[2] > 0 && to[3] > 0 && context.drawImage(canvas, ...from, ...to);
  stretch([left, top, 1, bitmap.height], [0, top, left, bitmap.height]);
  stretch([left + bitmap.width - 1, top, 1, bitmap.height], [left + bitmap.width, top, right, bitmap.height]);
  stretch([0, top, width, 1], [0, 0, width, top]);
  stretch([0, top + bitmap.height - 1, width, 1], [0, top + bitmap.height, width, bottom]);
  const sheet = sheetOf(width, height);
  const painted = sheet.getContext("2d");
  painted.fillStyle = "#fff";
  painted.fillRect(0, 0, width, height);
  painted.fillStyle = "#000";
  const inset = (margin) => (margin > 0 ? OVERLAP : 0);
  painted.fillRect(
    left + inset(left),
    top + inset(top),
    bitmap.width - inset(left) - inset(right),
    bitmap.height - inset(top) - inset(bottom),
  );
  made = { bitmap, key, canvas: await png(canvas), mask: await png(sheet) };
  return made;
};

const showSize = () => {
  if (mode() !== "outpaint" || !initImage.bitmap) return (line.textContent = "");
  const { width, height } = outpaintSize();
  line.textContent = text("outpaint_size", { width, height });
};
form.addEventListener("input", showSize);
form.addEventListener("mode", showSize);
