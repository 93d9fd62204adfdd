// The playground: a form for the native API. This module quotes and submits; its neighbors have one feature each.
import { messageOf, quote, send, submit } from "./api.js";
import { addBrowser } from "./cards.js";
import { loadChoices } from "./choices.js";
import { showCode } from "./code.js";
import { controls } from "./controls.js";
import { remember, show as showHistory } from "./history.js";
import { showMode } from "./image/init_image.js";
import "./model_defaults.js";
import "./parameters.js";
import { Incomplete, requestBody } from "./request.js";
import { follow, layOut } from "./results.js";
import { showText, text } from "./texts.js";
import { variationsOf, withSharedSeed } from "./variations.js";

const form = document.getElementById("playground");
const fields = form.elements;
const [quoteLine, stateLine, bar, cancel] = ["quote", "state", "progress", "cancel"].map((id) => document.getElementById(id));
const button = form.querySelector("[type=submit]");

const requests = async () => {
  const problem = controls.problem();
  if (problem) throw new Incomplete(problem);
  return variationsOf(await requestBody());
};
const explain = (error) => (error instanceof Incomplete ? error.message : messageOf(error));

// Quote: estimated cost and start of all jobs ----------------------------------------------------------------------
let quoteTimer, quotesSent = 0;
const quoteSoon = () => {
  clearTimeout(quoteTimer);
  quoteTimer = setTimeout(quoteForm, 300);
};
const quoteForm = async () => {
  const number = ++quotesSent;
  const say = (content, isError) => number === quotesSent && showText(quoteLine, content, isError);
  if (!fields.sampler.value || !form.checkValidity()) return say(""); // the choices are loaded first
  try {
    const result = await requests();
    if (number !== quotesSent) return;
    showCode(result.cells[0].body);
    const answers = await quotesOf(result.cells.map((cell) => cell.body));
    const refused = answers.find((answer) => !answer.accepted);
    if (refused) return say(refused.refusals.map((refusal) => refusal.detail).join(" "), true);
    say(summaryOf(answers));
  } catch (error) {
    if (!(error instanceof Incomplete)) return say(explain(error), true);
    say(error.message);
  }
};
// Jobs that differ by seed or words alone have the same price, and are asked for once.
const quotesOf = async (bodies) => {
  const asked = new Map();
  for (const body of bodies) {
    const key = JSON.stringify({ ...body, prompt: "", seed: 0 });
    if (!asked.has(key)) asked.set(key, quote(body));
  }
  return Promise.all(bodies.map((body) => asked.get(JSON.stringify({ ...body, prompt: "", seed: 0 }))));
};
const summaryOf = (answers) => {
  const cost = answers.reduce((sum, answer) => sum + answer.cost, 0);
  const parts = [text("cost", { cost: cost.toFixed(3) })];
  if (answers.length > 1) parts.unshift(text("jobs", { count: answers.length }));
  const starts = answers[0].queue?.starts_in_s;
  if (starts != null) parts.push(text("starts", { seconds: Math.round(starts) }));
  return parts.join(" · ");
};

// Submission --------------------------------------------------------------------------------------------------------
let running = [], isCancelled = false;
const generate = async () => {
  const result = await requests();
  const boxes = layOut(result);
  running = [];
  isCancelled = false;
  cancel.hidden = false;
  const count = result.cells.length;
  let refusal = null;
  for (const cell of shared(result.cells)) {
    if (isCancelled) break;
    try {
      running.push(await submit(cell.body));
    } catch (error) {
      refusal = error; // those before it run
      break;
    }
  }
  if (running.length) await remember(running, result);
  for (const [index, job] of running.entries()) {
    await follow(job, boxes[index], count > 1 ? `${index + 1}/${count} · ` : "");
  }
  if (refusal) throw refusal;
};
const shared = (cells) => {
  const { seed } = withSharedSeed(cells[0].body, cells.length);
  return seed === undefined ? cells : cells.map((cell) => ({ ...cell, body: { seed, ...cell.body } }));
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    await generate();
  } catch (error) {
    showText(stateLine, explain(error), true);
  }
  bar.hidden = true;
  button.disabled = false;
  cancel.hidden = true;
  quoteSoon();
});
cancel.addEventListener("click", () => {
  isCancelled = true;
  for (const job of running) send(`${job.url}/cancel`, { method: "POST" }).catch(() => {});
});

form.addEventListener("input", quoteSoon);
form.addEventListener("mode", quoteSoon);
document.getElementById("random-seed").addEventListener("click", () => {
  fields.seed.value = "";
  quoteSoon();
});
addBrowser(document.getElementById("browse-checkpoints"), "checkpoint", fields.checkpoint);

const reload = () => loadChoices().then(quoteForm, (error) => showText(quoteLine, explain(error), true));
fields.source.addEventListener("change", reload);
showMode();
showHistory();
reload();
