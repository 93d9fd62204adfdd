// Client of /api/v1. Instead of an access key, it sends the console's session cookie and the name of a business source.
import { text } from "./texts.js";

export class ApiError extends Error {}

const form = document.getElementById("playground");

export const send = async (url, options = {}) => {
  const fields = form.elements;
  const headers = { "X-Atelier-Source": fields.source.value, "X-CSRFToken": fields.csrfmiddlewaretoken.value };
  if (options.json) {
    Object.assign(options, { method: "POST", body: JSON.stringify(options.json) });
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(url, { ...options, headers: { ...headers, ...options.headers } });
  if (response.status === 401) throw new ApiError(text("signed_out"));
  if (!response.ok) throw new ApiError(problemText(await response.json().catch(() => ({})), response));
  return response;
};

const problemText = (problem, response) =>
  [
    problem.detail ?? `${response.status} ${response.statusText}`,
    ...(problem.errors ?? []).map((error) => `${error.loc.join(".")}: ${error.msg}`),
  ].join(" ");

export const messageOf = (error) => (error instanceof ApiError ? error.message : text("unreachable"));
export const getJson = async (url) => (await send(url)).json();
export const list = async (url) => (await getJson(url)).items;
export const submit = async (body) => (await send(form.dataset.api, { json: body })).json();
export const quote = async (body) => (await send(form.dataset.quote, { json: body })).json();

// Uploads an image, and returns its SHA-256. A blob is uploaded once for each source.
const uploaded = new WeakMap();
export const upload = async (blob) => {
  const source = form.elements.source.value;
  const known = uploaded.get(blob) ?? {};
  uploaded.set(blob, known);
  const type = blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
  known[source] ??= send(form.dataset.uploads, { method: "POST", body: blob, headers: { "Content-Type": type } })
    .then((response) => response.json())
    .then((image) => image.sha256);
  known[source].catch(() => delete known[source]);
  return known[source];
};
