// Server-sent events of a job. They are read with fetch, because EventSource cannot send the source's header.
import { send } from "./api.js";

export async function* events(url, onUnreachable) {
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
      onUnreachable();
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
