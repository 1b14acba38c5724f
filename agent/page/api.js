// The calls to the API. Failures come as `Problem`, with the words of the problem details.

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.requestId = body.request_id ?? "";
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  throw new Problem(response.status, isProblem ? await response.json() : {});
}

// Search answers this where it shares the port; a chat of its own is told its tenant by the address.
export const tenants = async () => (await (await call("v1/tenants")).json()).tenants;

export const thread = async (tenant, id) =>
  (await call(`v1/chat/${encodeURIComponent(id)}?tenant=${encodeURIComponent(tenant)}`)).json();

// One turn. `step` is called for every event on the way; the same key may be sent again without doing anything twice.
export async function turn(body, key, step) {
  const response = await call("v1/chat", {
    method: "POST", body: JSON.stringify(body),
    headers: { "Content-Type": "application/json", Accept: "text/event-stream", "Idempotency-Key": key },
  });
  for await (const [name, data] of events(response.body)) {
    if (name === "reply") return data;
    if (name === "problem") throw new Problem(data.status, data);
    step(name, data);
  }
  throw new Problem(0, { detail: "" });
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const frames = rest.split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const name = /^event: (.*)$/m.exec(frame)?.[1];
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (name && data) yield [name, JSON.parse(data)];
    }
  }
}

// Also where the page is not on https, and `crypto.randomUUID` not there.
export const randomId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
