"use strict";
/* Form of a training: files that are dropped or chosen, presets, and the price before it starts. */
(() => {
  const form = document.getElementById("new-training");
  const area = document.getElementById("training-drop");
  const chosen = document.getElementById("training-files");
  const list = document.getElementById("training-chosen");
  const status = document.getElementById("training-status");
  const ARCHIVE = /\.zip$/i;
  const presets = JSON.parse(document.getElementById("training-presets").textContent);
  let files = [];

  const show = () => list.replaceChildren(...files.map((file) => {
    const item = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "×";
    remove.setAttribute("aria-label", `${form.dataset.remove} ${file.name}`);
    remove.addEventListener("click", () => {
      files = files.filter((other) => other !== file);
      show();
    });
    if (file.type.startsWith("image/")) {
      const image = document.createElement("img");
      image.alt = "";
      image.src = URL.createObjectURL(file);
      image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
      item.append(image);
    }
    item.append(file.name, remove);
    return item;
  }));
  const add = (more) => {
    files = [...files, ...more];
    show();
  };
  // On the way to the field, because the theme's listener on it expects a text field beside it.
  area.addEventListener("change", (event) => {
    event.stopPropagation();
    add(chosen.files);
    chosen.value = "";
  }, { capture: true });
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("at-over");
  });
  area.addEventListener("dragleave", () => area.classList.remove("at-over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("at-over");
    add(event.dataTransfer.files);
  });

  form.elements.preset.addEventListener("change", () => {
    for (const [name, value] of Object.entries(presets[form.elements.preset.value] ?? {})) form.elements[name].value = value;
  });

  const body = () => {
    const data = new FormData();
    const tagged = form.elements.captions?.value === "tags";
    for (const [name, value] of new FormData(form)) {
      if (!tagged && ["tagger", "tag_threshold"].includes(name)) continue;
      if (value && !["csrfmiddlewaretoken", "preset"].includes(name)) data.append(name, value);
    }
    for (const file of files) data.append(ARCHIVE.test(file.name) ? "archive" : "images", file, file.name);
    return data;
  };
  const send = async (url) => {
    const headers = { "X-Atelier-Source": form.dataset.source, "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const response = await fetch(url, { method: "POST", headers, body: body() });
    return { ok: response.ok, answer: await response.json().catch(() => ({ detail: String(response.status) })) };
  };
  const told = (answer) => {
    const errors = (answer.errors ?? []).map((error) => `${(error.loc ?? []).join(".")}: ${error.msg}`);
    return errors.length ? errors.join("\n") : answer.detail;
  };
  const busy = async (work) => {
    const buttons = [...form.querySelectorAll("button[data-send]")];
    for (const button of buttons) button.disabled = true;
    status.textContent = form.dataset.sending;
    try {
      await work();
    } catch (error) {
      status.textContent = String(error);
    }
    for (const button of buttons) button.disabled = false;
  };

  document.getElementById("training-price").addEventListener("click", () => busy(async () => {
    const { ok, answer } = await send(form.dataset.quote);
    if (!ok) status.textContent = told(answer);
    else if (answer.accepted) status.textContent = `${form.dataset.price}: ${answer.cost}`;
    else status.textContent = answer.refusals.map((refusal) => refusal.detail).join("\n");
  }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(async () => {
      const { ok, answer } = await send(form.dataset.submit);
      if (ok) location.assign(form.dataset.page.replace("00000000-0000-0000-0000-000000000000", answer.id));
      else status.textContent = told(answer);
    });
  });
})();
