// The form as requests of the native API. Images are sent as SHA-256 of an upload, so that requests stay small.
import { upload } from "./api.js";
import { controls } from "./controls.js";
import { initImage, mode } from "./image/init_image.js";
import { mask } from "./image/mask.js";
import { extendsImage, outpainting, outpaintSize } from "./image/outpaint.js";
import { loras } from "./loras.js";
import { withStyles } from "./styles.js";
import { text } from "./texts.js";

const fields = document.getElementById("playground").elements;
const value = (name) => fields[name].value;
const number = (name) => Number(value(name));
const multiple = (side) => Math.round(side / 8) * 8;

// Something is missing that the form itself cannot check; the message is shown to the user.
export class Incomplete extends Error {}

const inpaintOptions = (sha256) => ({
  mask: sha256,
  blur_x: number("mask_blur"),
  blur_y: number("mask_blur"),
  content: value("mask_content"),
  only_masked: fields.only_masked.checked,
  padding: number("mask_padding"),
  invert: fields.mask_invert.checked,
});

// Parts of the request that depend on the mode.
const parts = {
  txt2img: async () => ({}),
  img2img: async () => ({ ...(await initial()), strength: number("strength"), resize_mode: value("resize_mode") }),
  inpaint: async () => {
    if (mask.isEmpty) throw new Incomplete(text("paint_mask"));
    return { ...(await parts.img2img()), inpaint: inpaintOptions(await upload(await mask.blob())) };
  },
  outpaint: async () => {
    if (!extendsImage()) throw new Incomplete(text("no_margins"));
    const made = await outpainting();
    const [canvas, border] = await Promise.all([upload(made.canvas), upload(made.mask)]);
    const inpaint = { mask: border, blur_x: 4, blur_y: 4, content: value("outpaint_content") };
    return { task: "img2img", init_images: [canvas], strength: number("outpaint_strength"), inpaint, ...outpaintSize() };
  },
  change_background: async () => ({
    ...(await initial()),
    task: "change_background",
    strength: number("background_strength"),
    change_background: {
      cut_out_by: value("cut_out_by"),
      content: value("background_content"),
      mask_expansion: number("mask_expansion"),
      feather: number("feather"),
    },
  }),
};
const initial = async () => ({ task: "img2img", init_images: [await upload(initImage.blob)] });

const hires = () => ({
  width: multiple(number("width") * number("hires_scale")),
  height: multiple(number("height") * number("hires_scale")),
  scale: number("hires_scale"),
  upscaler: value("hires_upscaler"),
  num_inference_steps: number("hires_steps"),
  strength: number("hires_strength"),
});

// A video has the models and the sampler of its workflow.
const OF_WORKFLOW = ["checkpoint", "sampler", "scheduler", "clip_skip", "vae"];
const asVideo = (request) => {
  const video = {};
  if (value("video_frames")) video.frames = number("video_frames");
  if (value("video_fps")) video.fps = number("video_fps");
  const others = Object.entries(request).filter(([name]) => !OF_WORKFLOW.includes(name));
  return { ...Object.fromEntries(others), video };
};

// One request, before its variations. Raises Incomplete.
export const requestBody = async () => {
  if (mode() !== "txt2img" && !initImage.blob) throw new Incomplete(text("choose_image"));
  const request = {
    ...withStyles(value("prompt"), value("negative_prompt")),
    checkpoint: value("checkpoint"),
    sampler: value("sampler"),
    scheduler: value("scheduler"),
    lane: "interactive",
    preview_every: 2,
    loras: loras.uses(),
  };
  const numbers = ["width", "height", "num_inference_steps", "guidance_scale", "num_images", "batch_size", "clip_skip"];
  for (const name of numbers) request[name] = number(name);
  if (fields.prompt_mode?.value) request.prompt_mode = value("prompt_mode"); // absent without a text model
  if (value("seed") !== "") request.seed = number("seed");
  if (value("vae")) request.vae = value("vae");
  if (value("refiner")) request.refiner = { checkpoint: value("refiner"), switch_at: number("refiner_switch") };
  if (mode() === "txt2img" && fields.hires.checked) request.hires = hires();
  const units = await controls.units();
  if (units.length) request.controls = units;
  const whole = { ...request, ...(await parts[mode()]()) };
  return ["txt2img", "img2img"].includes(mode()) && fields.video?.checked ? asVideo(whole) : whole;
};
