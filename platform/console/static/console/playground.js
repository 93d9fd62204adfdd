// A client of /api/v1 like any other, but for its credentials: the console's session, and the source that is drawn for.
(() => {
  const form = document.getElementById("playground");
  if (!form) return;
  const [quoteLine, stateLine, bar, pictures, jobLink, cancel] = ["quote", "state", "progress", "pictures", "job", "cancel"].map(
    (id) => document.getElementById(id),
  );
  const draw = form.querySelector("[type=submit]");
  const fields = form.elements;
  const text = (name, values = {}) => {
    const words = form.dataset[`text${name[0].toUpperCase()}${name.slice(1)}`];
    return words.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  };

  class Refused extends Error {}

  const ask = async (url, options = {}) => {
    const headers = { "X-Atelier-Source": fields.source.value, "X-CSRFToken": fields.csrfmiddlewaretoken.value };
    if (options.json) {
      Object.assign(options, { method: "POST", body: JSON.stringify(options.json) });
      headers["Content-Type"] = "application/json";
    }
    const answer = await fetch(url, { ...options, headers: { ...headers, ...options.headers } });
    if (answer.status === 401) throw new Refused(text("signedOut"));
    if (!answer.ok) throw new Refused(explained(await answer.json()));
    return answer;
  };
  const explained = (problem) =>
    [problem.detail, ...(problem.errors ?? []).map((error) => `${error.loc.join(".")}: ${error.msg}`)].join(" ");

  const say = (line, words, bad = false) => {
    line.textContent = words;
    line.classList.toggle("at-bad-text", bad);
  };

  // What there is to choose from, for the source ---------------------------------------------------------------------
  const fill = (select, names, chosen, first = []) => {
    const before = select.value;
    const options = [...first, ...names].map((name) => new Option(name || "–", name));
    select.replaceChildren(...options);
    select.value = names.includes(before) ? before : (chosen ?? options[0]?.value ?? "");
  };
  const list = async (url) => (await (await ask(url)).json()).items;
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

  const wanted = () => {
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
    if (value("seed") !== "") request.seed = number("seed");
    return request;
  };

  // What it would cost -----------------------------------------------------------------------------------------------
  let quoteTimer, quotesAsked = 0;
  const quoteSoon = () => {
    clearTimeout(quoteTimer);
    quoteTimer = setTimeout(quote, 300);
  };
  const quote = async () => {
    if (!form.checkValidity()) return say(quoteLine, "");
    const number = ++quotesAsked;
    try {
      const told = await (await ask(form.dataset.quote, { json: wanted() })).json();
      if (number === quotesAsked) showQuote(told);
    } catch (error) {
      if (number === quotesAsked) say(quoteLine, error instanceof Refused ? error.message : text("away"), true);
    }
  };
  const showQuote = (told) => {
    if (!told.accepted) return say(quoteLine, told.refusals.map((refusal) => refusal.detail).join(" "), true);
    const parts = [text("cost", { cost: told.cost.toFixed(3) })];
    if (told.queue?.starts_in_s != null) parts.push(text("starts", { seconds: Math.round(told.queue.starts_in_s) }));
    say(quoteLine, parts.join(" · "));
  };

  // Following a job --------------------------------------------------------------------------------------------------
  async function* events(url) {
    let last = "";
    for (;;) {
      try {
        const answer = await ask(url, { headers: last ? { "Last-Event-ID": last } : {} });
        if (answer.status === 204) return;
        for await (const event of parsed(answer.body)) {
          last = event.id ?? last;
          yield event;
          if (event.event === "end") return;
        }
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        say(stateLine, text("away"));
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  async function* parsed(body) {
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

  const picture = (src, alt, words = "") => {
    const figure = document.createElement("figure");
    const image = Object.assign(new Image(), { src, alt });
    const caption = Object.assign(document.createElement("figcaption"), { textContent: words });
    figure.append(image, caption);
    return figure;
  };
  const showEnd = async (job) => {
    bar.hidden = true;
    if (job.state !== "succeeded") pictures.replaceChildren();
    say(stateLine, text(job.state, { message: job.error?.message ?? "" }), job.state !== "succeeded");
    const figures = await Promise.all(
      job.outputs.map(async (output) => {
        const bytes = await (await ask(output.url)).blob();
        return picture(URL.createObjectURL(bytes), job.request.prompt, output.infotext);
      }),
    );
    if (figures.length) pictures.replaceChildren(...figures);
  };
  const handlers = {
    state: (change) => change.to_state === "queued" && say(stateLine, text("queued")),
    progress: (done) => {
      bar.value = done.progress;
      say(stateLine, text("running", done));
    },
    preview: (preview) => pictures.replaceChildren(picture(preview.image, "")),
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
    draw.disabled = true;
    pictures.querySelectorAll("img").forEach((image) => URL.revokeObjectURL(image.src));
    pictures.replaceChildren();
    try {
      await follow(await (await ask(form.dataset.api, { json: wanted() })).json());
    } catch (error) {
      bar.hidden = true;
      say(stateLine, error instanceof Refused ? error.message : text("away"), true);
    }
    draw.disabled = false;
    cancel.hidden = true;
    quoteSoon();
  });
  cancel.addEventListener("click", () => current && ask(`${current}/cancel`, { method: "POST" }).catch(() => {}));
  form.addEventListener("input", quoteSoon);
  const reload = () =>
    loadChoices().then(quote, (error) => say(quoteLine, error instanceof Refused ? error.message : text("away"), true));
  fields.source.addEventListener("change", reload);
  reload();
})();
