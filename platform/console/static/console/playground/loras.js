// Several LoRAs, each with its weight. Only those of the checkpoint's family are offered.
import { addBrowser } from "./cards.js";
import { fill, fitting } from "./choices.js";
import { Rows, fieldOf } from "./rows.js";

const form = document.getElementById("playground");
const fillRow = (row) => fill(fieldOf(row, "name"), [{ value: "", label: "–" }, ...fitting("lora").map((model) => ({ value: model.name }))]);
const rows = new Rows("lora", () => form.dispatchEvent(new Event("input")), (row) => {
  fillRow(row);
  addBrowser(row.querySelector("[data-browse]"), "lora", fieldOf(row, "name"));
});
form.addEventListener("choices", () => rows.all.forEach(fillRow));

export const loras = {
  uses: () =>
    rows.all
      .filter((row) => fieldOf(row, "name").value)
      .map((row) => {
        const weight = Number(fieldOf(row, "weight").value);
        return { name: fieldOf(row, "name").value, unet: weight, text_encoder: weight };
      }),
  state: () => loras.uses().map(({ name, unet }) => [name, unet]),
  restore(state) {
    rows.clear();
    for (const [name, weight] of state ?? []) {
      const row = rows.add();
      fieldOf(row, "name").value = name;
      fieldOf(row, "weight").value = weight;
    }
  },
};

// The page of a training leads here with ?lora=NAME. The names are loaded later.
const asked = new URLSearchParams(location.search).get("lora");
if (asked) fieldOf(rows.add(), "name").dataset.wanted = asked;
