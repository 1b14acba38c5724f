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
  if (response.ok) return response.json();
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  throw new Problem(response.status, isProblem ? await response.json() : {});
}

export const search = (body, signal) =>
  call("v1/search", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

export const item = (tenant, sku) =>
  call(`v1/items/${encodeURIComponent(sku)}?tenant=${encodeURIComponent(tenant)}`);

const related = (kind) => (tenant, sku) =>
  call(`v1/items/${encodeURIComponent(sku)}/${kind}?tenant=${encodeURIComponent(tenant)}&limit=6`);

export const complements = related("complements");

export const similar = related("similar");

export const tenants = () => call("v1/tenants");

export const status = () => call("v1/status");
