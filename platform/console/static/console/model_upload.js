"use strict";
/* Sends a file in pieces. A piece that gets lost is sent again from where the server stands. */
{
  const form = document.getElementById("model-upload");
  const words = form.dataset;
  const bar = form.querySelector("progress");
  const status = form.querySelector("[role=status]");
  const alert = form.querySelector("[role=alert]");
  const sendButton = form.elements.send;
  const cancelButton = form.elements.cancel;
  const RETRIES = 5;
  const RETRY_MS = 2000;

  class Refused extends Error {
    constructor(message, received) {
      super(message);
      this.received = received;
    }
  }

  const size = (bytes) => {
    const units = ["B", "KB", "MB", "GB"];
    let unit = 0;
    for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
    return `${bytes.toFixed(unit ? 1 : 0)} ${units[unit]}`;
  };

  let running = null; // the request under way, so that it can be stopped
  let cancelled = false;

  /* XMLHttpRequest, because fetch does not tell how much of a body is sent. */
  const post = (step, body, headers, onSent) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      running = request;
      request.open("POST", `${words.base}${step}/`);
      request.responseType = "json";
      request.setRequestHeader("X-CSRFToken", words.csrf);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (onSent) request.upload.onprogress = (event) => onSent(event.loaded);
      request.onerror = () => reject(new Error(words.lost));
      request.onabort = () => reject(new Refused(words.cancelled));
      request.onload = () => {
        if (request.status === 200 && request.response) resolve(request.response);
        else if (request.status >= 502 && request.status <= 504) reject(new Error(words.lost));
        else reject(new Refused(request.response?.error ?? words.failed, request.response?.received));
      };
      request.send(body);
    });

  const show = (sent, whole) => {
    bar.max = whole;
    bar.value = Math.min(sent, whole);
    status.textContent = words.sending.replace("{sent}", size(Math.min(sent, whole))).replace("{size}", size(whole));
  };

  const sendAll = async (file, token, chunkBytes) => {
    let offset = 0;
    let failures = 0;
    while (offset < file.size) {
      const start = offset;
      const headers = { "X-Upload": token, "X-Offset": start, "Content-Type": "application/octet-stream" };
      try {
        const piece = file.slice(start, start + chunkBytes);
        const answer = await post("append", piece, headers, (sent) => show(start + sent, file.size));
        offset = answer.received;
        failures = 0;
      } catch (error) {
        if (cancelled) throw error;
        if (error instanceof Refused) {
          if (error.received === undefined) throw error;
          offset = error.received;
        }
        failures += 1;
        if (failures > RETRIES) throw error;
        status.textContent = words.lost;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };

  let token = null;

  const forget = () => {
    if (token === null) return;
    const headers = { "X-Upload": token, "X-CSRFToken": words.csrf };
    fetch(`${words.base}cancel/`, { method: "POST", headers, keepalive: true }).catch(() => {});
    token = null;
  };

  const upload = async (file, kind) => {
    const begun = await post("begin", new URLSearchParams({ kind, name: file.name, size: file.size }), {});
    token = begun.upload;
    await sendAll(file, token, begun.chunk_bytes);
    bar.removeAttribute("value");
    status.textContent = words.examining;
    const done = await post("finish", null, { "X-Upload": token });
    token = null;
    location.assign(done.page);
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const file = form.elements.file.files[0];
    if (!file) return;
    cancelled = false;
    alert.textContent = "";
    sendButton.disabled = true;
    cancelButton.hidden = bar.hidden = false;
    show(0, file.size);
    try {
      await upload(file, form.elements.kind.value);
    } catch (error) {
      alert.textContent = error.message;
      status.textContent = "";
      bar.hidden = cancelButton.hidden = true;
      sendButton.disabled = false;
      forget();
    }
  });

  cancelButton.addEventListener("click", () => {
    cancelled = true;
    running?.abort();
  });
  window.addEventListener("pagehide", forget);
}
