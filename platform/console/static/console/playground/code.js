// The request as code: curl, Python and JavaScript for the native API. Credentials are environment variables.
const BASE = location.origin;
const INDENT = "    ";

const python = (value, indent = "") => {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = indent + INDENT;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Array.isArray(value)
    ? value.map((item) => python(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item, inner)}`);
  return items.length ? `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${close}` : open + close;
};

const LANGUAGES = {
  curl: (body) =>
    `curl -sS ${BASE}/api/v1/jobs \\\n  -H "Authorization: Bearer $KEY_ID:$SECRET" \\\n` +
    `  -H 'Content-Type: application/json' --data-binary @- <<'END'\n${JSON.stringify(body, null, 2)}\nEND`,
  python: (body) =>
    `import os, time, requests

api = requests.Session()
api.headers["Authorization"] = f"Bearer {os.environ['KEY_ID']}:{os.environ['SECRET']}"
job = api.post("${BASE}/api/v1/jobs", json=${python(body)})
job.raise_for_status()
job = job.json()
while job["state"] in ("queued", "running"):
    time.sleep(0.5)
    job = api.get("${BASE}" + job["url"]).json()
for output in job["outputs"]:
    with open(f"{job['id']}-{output['index']}.png", "wb") as file:
        file.write(api.get("${BASE}" + output["url"]).content)
`,
  javascript: (body) =>
    `import { writeFile } from "node:fs/promises";

const headers = { Authorization: \`Bearer \${process.env.KEY_ID}:\${process.env.SECRET}\`, "Content-Type": "application/json" };
const call = async (path, options) => {
  const response = await fetch("${BASE}" + path, { headers, ...options });
  if (!response.ok) throw new Error(await response.text());
  return response;
};
let job = await (await call("/api/v1/jobs", { method: "POST", body: JSON.stringify(${JSON.stringify(body, null, 2)}) })).json();
while (["queued", "running"].includes(job.state)) {
  await new Promise((resolve) => setTimeout(resolve, 500));
  job = await (await call(job.url)).json();
}
for (const output of job.outputs) {
  await writeFile(\`\${job.id}-\${output.index}.png\`, Buffer.from(await (await call(output.url)).arrayBuffer()));
}
`,
};

// Without what only the page needs: previews.
export const codeOf = (language, { preview_every, ...body }) => LANGUAGES[language](body);
