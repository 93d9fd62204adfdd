// Several requests from one form: alternatives in prompts ({a|b}) and the two axes of an X/Y grid. Each is a job of its own.
import { known } from "./choices.js";
import { Incomplete } from "./request.js";
import { text } from "./texts.js";

const fields = document.getElementById("playground").elements;
const MOST = 36; // jobs at once
const ALTERNATIVES = /\{([^{}]*\|[^{}]*)\}/;

// All combinations of the alternatives in a text, the first ones first.
export const alternatives = (prompt, most = MOST + 1) => {
  const found = ALTERNATIVES.exec(prompt);
  if (!found) return [prompt];
  const texts = [];
  for (const option of found[1].split("|")) {
    const rest = prompt.slice(0, found.index) + option.trim() + prompt.slice(found.index + found[0].length);
    texts.push(...alternatives(rest, most));
    if (texts.length >= most) break;
  }
  return texts;
};

const numeric = (name) => ({ read: Number, isValid: Number.isFinite, set: (body, value) => ({ ...body, [name]: value }) });
const integer = (name) => ({ ...numeric(name), isValid: Number.isInteger });
const choice = (name, options) => ({
  read: (value) => options().find((option) => option.toLowerCase() === value.toLowerCase()) ?? value,
  isValid: (value) => options().includes(value),
  set: (body, value) => ({ ...body, [name]: value }),
});
const optionsOf = (name) => () => [...fields[name].options].map((option) => option.value);
const AXES = {
  num_inference_steps: integer("num_inference_steps"),
  guidance_scale: numeric("guidance_scale"),
  seed: integer("seed"),
  strength: numeric("strength"),
  clip_skip: integer("clip_skip"),
  sampler: choice("sampler", optionsOf("sampler")),
  scheduler: choice("scheduler", optionsOf("scheduler")),
  checkpoint: choice("checkpoint", () => (known.models.checkpoint ?? []).map((model) => model.name)),
  lora_weight: {
    ...numeric(""),
    set: (body, weight) => ({ ...body, loras: body.loras.map((lora) => ({ ...lora, unet: weight, text_encoder: weight })) }),
  },
  prompt: {
    read: (value) => value,
    isValid: () => true,
    set: (body, value, first) => ({ ...body, prompt: body.prompt.replaceAll(first, () => value) }),
  },
};

const valuesOf = (axis, entered) => {
  const values = entered.split(",").map((value) => value.trim()).filter(Boolean);
  return values.flatMap((value) => {
    const range = axis.read === Number && /^(-?\d+)-(\d+)$/.exec(value); // 1-4
    if (!range) return [axis.read(value)];
    const [from, to] = [Number(range[1]), Number(range[2])];
    if (to < from || to - from >= MOST) throw new Incomplete(text("bad_axis", { value }));
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
};
const axisOf = (letter, body) => {
  const name = fields[`${letter}_axis`].value;
  if (!name) return { name, values: [null], set: (body) => body };
  const axis = AXES[name];
  const values = valuesOf(axis, fields[`${letter}_values`].value);
  if (!values.length) throw new Incomplete(text("empty_axis"));
  const wrong = values.find((value) => !axis.isValid(value));
  if (wrong !== undefined) throw new Incomplete(text("bad_axis", { value: wrong }));
  if (name === "prompt" && !body.prompt.includes(values[0])) throw new Incomplete(text("not_in_prompt", { value: values[0] }));
  if (name === "lora_weight" && !body.loras.length) throw new Incomplete(text("no_loras"));
  if (name === "strength" && body.task === undefined) throw new Incomplete(text("no_strength"));
  return { name, values, set: (body, value) => axis.set(body, value, values[0]) };
};

// The requests of a form: {body, x, y, label}. All have the same seed, unless the seed is what varies. Raises Incomplete.
export const variationsOf = (body) => {
  const [x, y] = [axisOf("x", body), axisOf("y", body)];
  const grid = y.values.flatMap((vertical) =>
    x.values.map((horizontal) => ({ x: horizontal, y: vertical, body: y.set(x.set(body, horizontal), vertical) })),
  );
  const all = grid.flatMap((cell) =>
    alternatives(cell.body.prompt).map((prompt) => ({ ...cell, body: { ...cell.body, prompt }, label: prompt })),
  );
  if (all.length > MOST) throw new Incomplete(text("too_many", { count: all.length, most: MOST }));
  return { isGrid: Boolean(x.name || y.name), x, y, cells: all };
};

// With several jobs, a random seed is drawn here, so that images differ by what varies alone.
export const withSharedSeed = (body, count) =>
  count > 1 && body.seed === undefined ? { ...body, seed: Math.floor(Math.random() * 2 ** 32) } : body;
