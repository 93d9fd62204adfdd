"use strict";
/* Uploads a file in chunks. A failed chunk is sent again from the offset that the server has received. */
{
  const form = document.getElementById("model-upload");
  const texts = form.dataset;
  const bar = form.querySelector("progress");
  const status = form.querySelector("[role=status]");
  const alert = form.querySelector("[role=alert]");
  const sendButton = form.elements.send;
  const cancelButton = form.elements.cancel;
  const RETRIES = 5;
  const RETRY_MS = 2000;

  class UploadRejected extends Error {
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

  let running = null; // the current request, so that it can be aborted
  let cancelled = false;

  /* XMLHttpRequest, because fetch does not report the progress of an upload. */
  const post = (step, body, headers, onSent) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      running = request;
      request.open("POST", `${texts.base}${step}/`);
      request.responseType = "json";
      request.setRequestHeader("X-CSRFToken", texts.csrf);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (onSent) request.upload.onprogress = (event) => onSent(event.loaded);
      request.onerror = () => reject(new Error(texts.lost));
      request.onabort = () => reject(new UploadRejected(texts.cancelled));
      request.onload = () => {
        if (request.status === 200 && request.response) resolve(request.response);
        else if (request.status >= 502 && request.status <= 504) reject(new Error(texts.lost));
        else reject(new UploadRejected(request.response?.error ?? texts.failed, request.response?.received));
      };
      request.send(body);
    });

  const show = (sent, total) => {
    bar.max = total;
    bar.value = Math.min(sent, total);
    status.textContent = texts.sending.replace("{sent}", size(Math.min(sent, total))).replace("{size}", size(total));
  };

  const sendAll = async (file, token, chunkBytes) => {
    let offset = 0;
    let failures = 0;
    while (offset < file.size) {
      const start = offset;
      const headers = { "X-Upload": token, "X-Offset": start, "Content-Type": "application/octet-stream" };
      try {
        const chunk = file.slice(start, start + chunkBytes);
        const response = await post("append", chunk, headers, (sent) => show(start + sent, file.size));
        offset = response.received;
        failures = 0;
      } catch (error) {
        if (cancelled) throw error;
        if (error instanceof UploadRejected) {
          if (error.received === undefined) throw error;
          offset = error.received;
        }
        failures += 1;
        if (failures > RETRIES) throw error;
        status.textContent = texts.lost;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  };

  let token = null;

  const discard = () => {
    if (token === null) return;
    const headers = { "X-Upload": token, "X-CSRFToken": texts.csrf };
    fetch(`${texts.base}cancel/`, { method: "POST", headers, keepalive: true }).catch(() => {});
    token = null;
  };

  const upload = async (file, kind) => {
    const created = await post("begin", new URLSearchParams({ kind, name: file.name, size: file.size }), {});
    token = created.upload;
    await sendAll(file, token, created.chunk_bytes);
    bar.removeAttribute("value");
    status.textContent = texts.examining;
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
      discard();
    }
  });

  cancelButton.addEventListener("click", () => {
    cancelled = true;
    running?.abort();
  });
  window.addEventListener("pagehide", discard);
}
