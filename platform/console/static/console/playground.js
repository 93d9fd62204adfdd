// Client of /api/v1. Instead of an access key, it sends the console's session cookie and the name of a business source.
(() => {
  const form = document.getElementById("playground");
  if (!form) return;
  const [quoteLine, stateLine, bar, images, jobLink, cancel] = ["quote", "state", "progress", "images", "job", "cancel"].map(
    (id) => document.getElementById(id),
  );
  const submit = form.querySelector("[type=submit]");
  const fields = form.elements;
  const text = (name, values = {}) => {
    const template = form.dataset[`text${name[0].toUpperCase()}${name.slice(1)}`];
    return template.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  };

  class ApiError extends Error {}

  const send = async (url, options = {}) => {
    const headers = { "X-Atelier-Source": fields.source.value, "X-CSRFToken": fields.csrfmiddlewaretoken.value };
    if (options.json) {
      Object.assign(options, { method: "POST", body: JSON.stringify(options.json) });
      headers["Content-Type"] = "application/json";
    }
    const response = await fetch(url, { ...options, headers: { ...headers, ...options.headers } });
    if (response.status === 401) throw new ApiError(text("signedOut"));
    if (!response.ok) throw new ApiError(problemText(await response.json()));
    return response;
  };
  const problemText = (problem) =>
    [problem.detail, ...(problem.errors ?? []).map((error) => `${error.loc.join(".")}: ${error.msg}`)].join(" ");

  const showText = (line, content, isError = false) => {
    line.textContent = content;
    line.classList.toggle("at-bad-text", isError);
  };

  // Choices of models, samplers and schedulers for the selected source -------------------------------------------------
  const fill = (select, names, chosen, first = []) => {
    const before = select.value;
    const options = [...first, ...names].map((name) => new Option(name || "–", name));
    select.replaceChildren(...options);
    select.value = names.includes(before) ? before : (chosen ?? options[0]?.value ?? "");
  };
  const list = async (url) => (await (await send(url)).json()).items;
  const loadChoices = async () => {
    const [checkpoints, loras, samplers, schedulers] = await Promise.all([
      list(`${form.dataset.models}?kind=checkpoint`),
      list(`${form.dataset.models}?kind=lora`),
      list(form.dataset.samplers),
      list(form.dataset.schedulers),
    ]);
    const names = (items) => items.map((item) => item.name);
    fill(fields.checkpoint, names(checkpoints), checkpoints.find((item) => item.is_default)?.name);
    fill(fields.lora, names(loras), "", [""]);
    fill(fields.sampler, names(samplers), "Euler");
    fill(fields.scheduler, names(schedulers), "Automatic");
  };

  const requestBody = () => {
    const value = (name) => fields[name].value;
    const number = (name) => Number(value(name));
    const weight = number("lora_weight");
    const request = {
      prompt: value("prompt"),
      negative_prompt: value("negative_prompt"),
      checkpoint: value("checkpoint"),
      sampler: value("sampler"),
      scheduler: value("scheduler"),
      lane: "interactive",
      preview_every: 2,
      loras: value("lora") ? [{ name: value("lora"), unet: weight, text_encoder: weight }] : [],
    };
    for (const name of ["width", "height", "num_inference_steps", "guidance_scale", "num_images"]) request[name] = number(name);
    if (fields.prompt_mode?.value) request.prompt_mode = value("prompt_mode"); // absent without a text model
    if (value("seed") !== "") request.seed = number("seed");
    return request;
  };

  // Quote: estimated cost and start ------------------------------------------------------------------------------------
  let quoteTimer, quotesSent = 0;
  const quoteSoon = () => {
    clearTimeout(quoteTimer);
    quoteTimer = setTimeout(quote, 300);
  };
  const quote = async () => {
    if (!form.checkValidity()) return showText(quoteLine, "");
    const number = ++quotesSent;
    try {
      const result = await (await send(form.dataset.quote, { json: requestBody() })).json();
      if (number === quotesSent) showQuote(result);
    } catch (error) {
      if (number === quotesSent) showText(quoteLine, error instanceof ApiError ? error.message : text("unreachable"), true);
    }
  };
  const showQuote = (result) => {
    if (!result.accepted) return showText(quoteLine, result.refusals.map((refusal) => refusal.detail).join(" "), true);
    const parts = [text("cost", { cost: result.cost.toFixed(3) })];
    if (result.queue?.starts_in_s != null) parts.push(text("starts", { seconds: Math.round(result.queue.starts_in_s) }));
    showText(quoteLine, parts.join(" · "));
  };

  // Server-sent events of a job ----------------------------------------------------------------------------------------
  async function* events(url) {
    let last = "";
    for (;;) {
      try {
        const response = await send(url, { headers: last ? { "Last-Event-ID": last } : {} });
        if (response.status === 204) return;
        for await (const event of parseEvents(response.body)) {
          last = event.id ?? last;
          yield event;
          if (event.event === "end") return;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        showText(stateLine, text("unreachable"));
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  async function* parseEvents(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let buffer = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (buffer + value).split("\n\n");
      buffer = blocks.pop();
      for (const block of blocks) {
        const event = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
        if (event.event) yield event;
      }
    }
  }

  const figureOf = (src, alt, captionText = "") => {
    const figure = document.createElement("figure");
    const image = Object.assign(new Image(), { src, alt });
    const caption = Object.assign(document.createElement("figcaption"), { textContent: captionText });
    figure.append(image, caption);
    return figure;
  };
  const showEnd = async (job) => {
    bar.hidden = true;
    if (job.state !== "succeeded") images.replaceChildren();
    const endText = text(job.state, { message: job.error?.message ?? "" });
    showText(stateLine, [endText, ...job.warnings].join(" · "), job.state !== "succeeded");
    const figures = await Promise.all(
      job.outputs.map(async (output) => {
        const bytes = await (await send(output.url)).blob();
        return figureOf(URL.createObjectURL(bytes), job.request.prompt, output.infotext);
      }),
    );
    if (figures.length) images.replaceChildren(...figures);
  };
  const handlers = {
    state: (change) => change.to_state === "queued" && showText(stateLine, text("queued")),
    progress: (update) => {
      bar.value = update.progress;
      showText(stateLine, text("running", update));
    },
    preview: (preview) => images.replaceChildren(figureOf(preview.image, "")),
    end: showEnd,
  };

  let current;
  const follow = async (job) => {
    current = job.url;
    jobLink.href = form.dataset.job.replace(/[0-9a-f-]{36}/, job.id);
    jobLink.hidden = cancel.hidden = bar.hidden = false;
    bar.value = 0;
    for await (const event of events(`${job.url}/events`)) await handlers[event.event]?.(JSON.parse(event.data));
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    images.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    images.replaceChildren();
    try {
      await follow(await (await send(form.dataset.api, { json: requestBody() })).json());
    } catch (error) {
      bar.hidden = true;
      showText(stateLine, error instanceof ApiError ? error.message : text("unreachable"), true);
    }
    submit.disabled = false;
    cancel.hidden = true;
    quoteSoon();
  });
  cancel.addEventListener("click", () => current && send(`${current}/cancel`, { method: "POST" }).catch(() => {}));
  form.addEventListener("input", quoteSoon);
  const reload = () =>
    loadChoices().then(quote, (error) => showText(quoteLine, error instanceof ApiError ? error.message : text("unreachable"), true));
  fields.source.addEventListener("change", reload);
  reload();
})();
