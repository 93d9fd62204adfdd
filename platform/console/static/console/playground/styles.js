// Prompt styles: checkboxes; the styles' texts are combined with the prompts as the server does for A1111's clients.
import { known } from "./choices.js";

const form = document.getElementById("playground");
const root = document.getElementById("styles");

const chosen = () => [...root.querySelectorAll("input:checked")].map((box) => box.value);
const combined = (prompt, style) =>
  style.includes("{prompt}")
    ? style.replaceAll("{prompt}", () => prompt)
    : [prompt, style].map((part) => part.trim()).filter(Boolean).join(", ");

form.addEventListener("choices", () => {
  const before = chosen();
  const boxes = known.styles.map((style) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: style.name });
    box.checked = before.includes(style.name);
    label.append(box, ` ${style.name}`);
    return label;
  });
  root.replaceChildren(...boxes);
  root.closest("details").hidden = !boxes.length;
});

export const withStyles = (prompt, negative_prompt) => {
  for (const style of known.styles.filter((style) => chosen().includes(style.name))) {
    prompt = combined(prompt, style.prompt);
    negative_prompt = combined(negative_prompt, style.negative_prompt);
  }
  return { prompt, negative_prompt };
};
export const styles = {
  state: chosen,
  restore: (names) => root.querySelectorAll("input").forEach((box) => (box.checked = (names ?? []).includes(box.value))),
};
