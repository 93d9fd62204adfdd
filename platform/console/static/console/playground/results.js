// Results: live preview, progress and images of the jobs of one submission, in a grid if there are axes.
import { send } from "./api.js";
import { events } from "./events.js";
import { initImage } from "./image/init_image.js";
import { showText, text } from "./texts.js";

const form = document.getElementById("playground");
const [stateLine, bar, images, jobLink] = ["state", "progress", "images", "job"].map((id) => document.getElementById(id));

const element = (tag, content = "", className = "") => Object.assign(document.createElement(tag), { textContent: content, className });
const button = (label, onClick) => {
  const made = Object.assign(element("button", label, "at-small"), { type: "button" });
  made.addEventListener("click", onClick);
  return made;
};
const figureOf = (src, alt, ...more) => figureWith(Object.assign(new Image(), { src, alt }), ...more);
const figureWith = (shown, ...more) => {
  const figure = document.createElement("figure");
  figure.append(shown, ...more);
  return figure;
};
const playerOf = (src, label) => {
  const player = Object.assign(document.createElement("video"), { src, controls: true, loop: true, playsInline: true });
  player.setAttribute("aria-label", label);
  return player;
};

const outputFigure = async (job, output) => {
  const blob = await (await send(output.url)).blob();
  const url = URL.createObjectURL(blob);
  const isVideo = output.content_type.startsWith("video/");
  const download = Object.assign(element("a", text("download"), "at-small"), { href: url });
  download.download = `${job.id}-${output.index}.${output.content_type.split("/")[1]}`;
  const details = element("details", "", "at-infotext");
  details.append(element("summary", text("parameters")), element("pre", output.infotext));
  const actions = element("p", "", "at-actions");
  const reuse = () => {
    form.elements.seed.value = String(output.seed);
    form.dispatchEvent(new Event("input"));
  };
  actions.append(
    button(text("use_seed", { seed: output.seed }), reuse),
    ...(isVideo ? [] : [button(text("use_image"), () => initImage.set(blob))]),
    download,
  );
  return isVideo ? figureWith(playerOf(url, job.request.prompt), actions, details) : figureOf(url, job.request.prompt, actions, details);
};

// Places of the images: one box for each job, in a table if there are axes.
export const layOut = ({ isGrid, x, y, cells }) => {
  images.querySelectorAll("img, video").forEach((image) => URL.revokeObjectURL(image.src));
  const boxes = cells.map(() => element("div", "", "at-cell"));
  images.classList.toggle("at-grid", isGrid);
  if (!isGrid) {
    images.replaceChildren(...boxes);
    return boxes;
  }
  const label = (axis, value) => (axis.name ? `${text(`axis_${axis.name}`)}: ${value}` : "");
  const header = (content, scope) => Object.assign(element("th", content), { scope });
  const table = element("table");
  const head = element("tr");
  head.append(element("td"), ...x.values.map((value) => header(label(x, value), "col")));
  table.append(head);
  for (const vertical of y.values) {
    const row = element("tr");
    row.append(header(label(y, vertical), "row"));
    for (const horizontal of x.values) {
      const data = element("td");
      data.append(...boxes.filter((_, index) => cells[index].x === horizontal && cells[index].y === vertical));
      row.append(data);
    }
    table.append(row);
  }
  images.replaceChildren(table);
  return boxes;
};

export const showJob = async (job, box) => {
  jobLink.href = form.dataset.job.replace(/[0-9a-f-]{36}/, job.id);
  jobLink.hidden = false;
  if (job.state !== "succeeded") box.replaceChildren(element("p", text(job.state, { message: job.error?.message ?? "" }), "at-bad-text"));
  const figures = await Promise.all(job.outputs.map((output) => outputFigure(job, output)));
  if (figures.length) box.replaceChildren(...figures);
};

// Follows a job to its end, and returns it.
export const follow = async (job, box, prefix) => {
  const show = (content, isError) => showText(stateLine, prefix + content, isError);
  jobLink.href = form.dataset.job.replace(/[0-9a-f-]{36}/, job.id);
  jobLink.hidden = bar.hidden = false;
  bar.value = 0;
  for await (const { event, data } of events(`${job.url}/events`, () => show(text("unreachable")))) {
    const update = JSON.parse(data);
    if (event === "state" && update.to_state === "queued") show(text("queued"));
    if (event === "preview") box.replaceChildren(figureOf(update.image, ""));
    if (event === "progress") {
      bar.value = update.progress;
      show(text("running", update));
    }
    if (event !== "end") continue;
    await showJob(update, box);
    show([text(update.state, { message: update.error?.message ?? "" }), ...update.warnings].join(" · "), update.state !== "succeeded");
    return update;
  }
};
