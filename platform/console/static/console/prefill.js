// Playground: fills the form with the parameters of an image of the gallery (?job=…&image=…), or of an example (?prompt=…).
(() => {
  const form = document.getElementById("playground");
  const url = document.currentScript.dataset.url;
  const query = new URLSearchParams(location.search);
  if (!form || !(query.has("job") || query.has("prompt"))) return;

  const put = (field, value) => {
    if (field instanceof HTMLSelectElement && ![...field.options].some((option) => option.value === String(value))) {
      field.append(new Option(value, value)); // its choices are still being loaded
      field.dataset.wanted = value;
    }
    field.value = value;
  };
  const say = (text) => {
    const line = Object.assign(document.createElement("p"), { id: "prefilled", className: "at-subtle at-all", textContent: text });
    line.setAttribute("role", "status");
    form.prepend(line);
  };
  const fill = async () => {
    const response = await fetch(`${url}?${new URLSearchParams({ job: query.get("job"), image: query.get("image") ?? "0" })}`);
    if (!response.ok) return;
    const { source, fields, note, left, left_text: leftText } = await response.json();
    const missing = [...left];
    for (const [name, value] of Object.entries({ source, ...fields })) {
      const field = form.elements[name];
      if (field) put(field, value);
      else missing.push(name);
    }
    say([note, ...(missing.length ? [`${leftText} ${missing.join(", ")}.`] : [])].join(" "));
    form.elements.source.dispatchEvent(new Event("change")); // loads the choices of this source
    form.dispatchEvent(new Event("input"));
  };
  if (query.has("job")) {
    fill();
    return;
  }
  for (const name of ["source", "prompt", "width", "height", "num_inference_steps", "seed"]) {
    const field = form.elements[name];
    const isChoice = field instanceof HTMLSelectElement && ![...field.options].some((option) => option.value === query.get(name));
    if (field && query.has(name) && !isChoice) field.value = query.get(name);
  }
  form.elements.source.dispatchEvent(new Event("change"));
  form.dispatchEvent(new Event("input"));
})();
