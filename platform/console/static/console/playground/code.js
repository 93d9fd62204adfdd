// The request as code in the chosen API and language, as the server writes it. Nothing is requested while it is closed.
import { ApiError, messageOf, send } from "./api.js";
import { fill, known } from "./choices.js";
import { showText, text } from "./texts.js";

const form = document.getElementById("playground");
const fields = form.elements;
const [section, code, note] = ["as-code", "code", "code-note"].map((id) => document.getElementById(id));

let body = null, requests = 0;
const write = async () => {
  if (!section.open || !body || !fields.code_dialect.value) return;
  const number = ++requests;
  const api = fields.code_dialect.value;
  const json = { source: fields.source.value, dialect: api, language: fields.code_language.value, request: body };
  try {
    const answer = await (await send(form.dataset.code, { json })).json();
    if (number !== requests) return;
    code.textContent = answer.code;
    if (answer.reason) showText(note, text("no_code", { api, reason: answer.reason }), true);
    else showText(note, answer.lacking.length ? text("lacking", { api, fields: answer.lacking.join(", ") }) : "", answer.lacking.length > 0);
  } catch (error) {
    if (number !== requests) return;
    code.textContent = "";
    showText(note, messageOf(error instanceof ApiError ? error : null), true);
  }
};

// Shows the code of another body of the native API.
export const showCode = (newBody) => {
  body = newBody;
  write();
};

section.addEventListener("toggle", write);
for (const name of ["code_dialect", "code_language"]) {
  fields[name].addEventListener("input", (event) => {
    event.stopPropagation(); // no other quote
    write();
  });
}
form.addEventListener("choices", () => {
  fill(fields.code_dialect, known.dialects.map((value) => ({ value })));
  write();
});
document.getElementById("copy-code").addEventListener("click", async () => {
  await navigator.clipboard.writeText(code.textContent);
  showText(document.getElementById("copied"), text("copied"));
});
