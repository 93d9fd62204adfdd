// Mask brush: strokes over the init image. They are kept as lines, so that undo and export draw them again.
import { initImage } from "./init_image.js";

const form = document.getElementById("playground");
const fields = form.elements;
const canvas = document.getElementById("mask");
const tools = document.getElementById("mask-tools");

let strokes = [], painting = null, exported = null;

const draw = (context, color, erased) => {
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.globalCompositeOperation = stroke.erases ? erased.operation : "source-over";
    context.strokeStyle = stroke.erases ? erased.color : color;
    context.lineWidth = stroke.size;
    context.beginPath();
    context.moveTo(...stroke.points[0]);
    for (const point of stroke.points.slice(1)) context.lineTo(...point);
    if (stroke.points.length === 1) context.lineTo(...stroke.points[0]);
    context.stroke();
  }
};
const redraw = () => {
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, canvas.width, canvas.height);
  draw(context, "#f0f", { operation: "destination-out", color: "#000" });
};
const changed = () => {
  exported = null;
  redraw();
  for (const name of ["undo", "clear"]) tools.querySelector(`[data-${name}]`).disabled = !strokes.length;
  form.dispatchEvent(new Event("input"));
};
const setStrokes = (next) => {
  strokes = next;
  changed();
};

const pointOf = (event) => {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
};
canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const erases = fields.mask_tool.value === "erase";
  painting = { erases, size: Number(fields.mask_size.value) * scale, points: [pointOf(event)] };
  strokes = [...strokes, painting];
  redraw();
});
canvas.addEventListener("pointermove", (event) => {
  if (!painting) return;
  painting.points.push(...(event.getCoalescedEvents?.() ?? [event]).map(pointOf));
  redraw();
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => {
    if (!painting) return;
    painting = null;
    changed();
  });
}
tools.querySelector("[data-undo]").addEventListener("click", () => setStrokes(strokes.slice(0, -1)));
tools.querySelector("[data-clear]").addEventListener("click", () => setStrokes([]));
initImage.addEventListener("change", () => {
  const { bitmap } = initImage;
  Object.assign(canvas, { width: bitmap?.width ?? 1, height: bitmap?.height ?? 1 });
  setStrokes([]);
});

export const mask = {
  get isEmpty() {
    return !strokes.some((stroke) => !stroke.erases);
  },
  // PNG of the size of the init image: white where it is repainted, black elsewhere.
  async blob() {
    if (exported) return exported;
    const sheet = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
    const context = sheet.getContext("2d");
    context.fillRect(0, 0, sheet.width, sheet.height);
    draw(context, "#fff", { operation: "source-over", color: "#000" });
    exported = await new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
    return exported;
  },
  state: () => strokes,
  restore: setStrokes,
};
