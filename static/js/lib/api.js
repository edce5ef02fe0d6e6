// JSON to and from our own server. Every failure is an ApiError with a stable code; words come from the page.

import { hasWord, word } from "./words.js";

const TIMEOUT_MS = 20_000; // a thin line is slow, a dead one must not hang the page

export class ApiError extends Error {
  /** status 0 means that no answer came: code "offline". `fields` maps a field to its code. */
  constructor(code, status = 0, { fields = {}, requestId = "", retryAfterS = 0 } = {}) {
    super(code);
    Object.assign(this, { code, status, fields, requestId, retryAfterS });
  }

  get mayRetry() {
    return this.status === 0 || this.status === 429 || this.code === "idempotency_working" || this.status >= 500;
  }

  /** The sentence for people: the page's own words for this code, else a general one. */
  get sentence() {
    const key = `code:${this.code}`;
    return hasWord(key) ? word(key) : word(this.status === 0 ? "code:offline" : "code:server_error");
  }
}

/** Return a new random id (UUID 4), also where the page is not served over HTTPS. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export const get = (path, options = {}) => send("GET", path, undefined, options);

/** POST `body` as JSON. To try the same deed again, pass the same `key`: the server then does it once. */
export const post = (path, body = {}, { key = newId(), ...options } = {}) => send("POST", path, body, { key, ...options });

async function send(method, path, body, { key, signal, keepalive = false, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = key;
    headers["X-CSRF-Token"] = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  }
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  signal?.addEventListener("abort", () => stop.abort());
  try {
    const content = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(path, { method, headers, body: content, keepalive, signal: stop.signal, credentials: "same-origin" });
    return await read(answer);
  } catch (error) {
    throw error instanceof ApiError ? error : new ApiError("offline");
  } finally {
    clearTimeout(timer);
  }
}

async function read(answer) {
  if (answer.status === 204) return null;
  const isJson = answer.headers.get("Content-Type")?.includes("json");
  const document_ = isJson ? await answer.json() : null;
  if (answer.ok && isJson) return document_;
  throw new ApiError(document_?.error ?? (answer.ok ? "server_error" : codeOf(answer.status)), answer.status, {
    fields: document_?.fields ?? {},
    requestId: document_?.request_id ?? "",
    retryAfterS: Number(answer.headers.get("Retry-After")) || 0,
  });
}

const codeOf = (status) => ({ 401: "sign_in_needed", 403: "forbidden", 404: "not_found", 429: "too_many_attempts" })[status] ?? "server_error";
