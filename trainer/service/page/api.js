// The API, by addresses relative to the page, so that it may be served below any path.

const BASE = "api/v1/";

/** An answer that is an error: `application/problem+json`. */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `the server answered ${status}`);
    this.status = status;
    this.body = body;
    this.problems = body.problems || [];
  }
}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, body);
  return body;
}

/** The address of a resource, with the parameters that are neither null nor "". */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return BASE + path + (text ? `?${text}` : "");
}

const begun = new Map();
const BEGUN_MS = 5000;

/** Asks for what the page shows first, before the part that shows it is there. */
export function begin(path, parameters) {
  const place = address(path, parameters);
  const found = fetch(place).then(answer);
  found.catch(() => {}); // it is told to whoever takes it
  begun.set(place, found);
  setTimeout(() => begun.delete(place), BEGUN_MS);
}

export async function get(path, parameters, signal) {
  const place = address(path, parameters);
  const found = begun.get(place);
  begun.delete(place);
  return found || answer(await fetch(place, { signal }));
}

const sent = (method) => async (path, body, headers = {}) =>
  answer(await fetch(BASE + path, {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  }));

export const post = sent("POST");
export const patch = sent("PATCH");

/** Sends a file as it is. */
export const upload = async (path, file, kind) => answer(await fetch(BASE + path, {
  method: "POST", headers: { "Content-Type": kind, "Idempotency-Key": newKey() }, body: file,
}));

/** A word by which the server knows a request again. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Posts what shall be done once, also where the first answer is lost. */
export async function postOnce(path, body, key = newKey()) {
  const send = () => post(path, body, { "Idempotency-Key": key });
  return send().catch((error) => {
    if (error.status) throw error;
    return send();
  });
}

const remembered = new Map();

/** What never changes while the server runs: asked for once. */
export function once(path) {
  if (!remembered.has(path)) {
    const asked = get(path);
    asked.catch(() => remembered.delete(path));
    remembered.set(path, asked);
  }
  return remembered.get(path);
}
