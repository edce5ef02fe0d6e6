// What the phone keeps: the day's list, sealed with a key that cannot leave this browser, and the outbox of notes.

import { isLate, isOver, newAge, older } from "./age.js";
import { transact } from "./database.js";

export { StoreError, whenClosed } from "./database.js";

const NOTES_LIVE_MS = 30 * 86_400_000; // a restored server may ask for them again

const keep = (name) => transact("keep", "readonly", (tx) => tx.store.get(name));

/** Return this phone's id for a postman; it is made at the first use. */
export function deviceOf(postman, newId) {
  return transact("keep", "readwrite", async (tx) => {
    const known = await tx.store.get(`device:${postman}`);
    const id = known ?? newId();
    if (!known) await tx.store.put(id, `device:${postman}`);
    return id;
  });
}

/** Number on from the server's watermark when it is ahead of this phone; tell whether it was. */
export function skipTo(device, watermark) {
  return transact("keep", "readwrite", async (tx) => {
    const isBehind = ((await tx.store.get(`seq:${device}`)) ?? 0) < watermark;
    if (isBehind) await tx.store.put(watermark, `seq:${device}`);
    return isBehind;
  });
}

export const epochOf = (device) => keep(`epoch:${device}`);

/** Add a note with the next number. Return it, or null when `once` was noted before: a hundred taps are one note. */
export function append(device, postman, { report, once, number }) {
  return transact(["keep", "outbox"], "readwrite", async (tx) => {
    const [numbers, outbox] = [tx.objectStore("keep"), tx.objectStore("outbox")];
    if ((await outbox.index("once").getKey(once)) !== undefined) return null;
    const seq = ((await numbers.get(`seq:${device}`)) ?? 0) + 1;
    const note = { device_id: device, device_seq: seq, postman, once, number, report: { ...report, device_seq: seq }, status: null, code: null, settled_at: null, noted_at: Date.now() };
    await Promise.all([numbers.put(seq, `seq:${device}`), outbox.add(note)]);
    return note;
  });
}

export const notes = () => transact("outbox", "readonly", (tx) => tx.store.getAll());

/** Keep what the server said of each note. A conflict or refusal frees the deed, so that it can be noted anew. */
export function settle(device, answer) {
  return transact(["keep", "outbox"], "readwrite", async (tx) => {
    const outbox = tx.objectStore("outbox");
    for (const result of answer.results) {
      const note = result.device_seq && (await outbox.get([device, result.device_seq]));
      if (!note || note.report.event_id !== result.event_id) continue;
      note.status = result.status === "duplicate" ? result.was ?? "applied" : result.status;
      Object.assign(note, { code: result.code, settled_at: Date.now(), settled_time: timeOf(answer.time) });
      if (note.status !== "applied" || note.report.kind === "returned") note.once = note.report.event_id;
      await outbox.put(note);
    }
    await tx.objectStore("keep").put(answer.epoch, `epoch:${device}`);
  });
}

/** The server went back to an older state: send again all that it does not have. */
export function unsettleAbove(device, watermark) {
  return transact("outbox", "readwrite", async (tx) => {
    for (const note of await tx.store.getAll()) {
      if (note.device_id !== device || note.device_seq <= watermark || note.status === null) continue;
      await tx.store.put({ ...note, status: null, code: null, settled_at: null, settled_time: null });
    }
  });
}

/** Forget settled notes when the server's time is 30 days on; an unsent one is never forgotten. */
export function prune(serverTime) {
  const now = timeOf(serverTime);
  return transact("outbox", "readwrite", async (tx) => {
    for (const note of now === null ? [] : await tx.store.getAll()) {
      if (note.status === null) continue;
      if (!note.settled_time) await tx.store.put({ ...note, settled_time: now }); // of an earlier release: its days begin now
      else if (now - note.settled_time > NOTES_LIVE_MS) await tx.store.delete([note.device_id, note.device_seq]);
    }
  });
}

/** Tell whether `list` does not show yet what the note did. The order is the server's word, not the phone's clock. */
export function isNews(note, list) {
  if (note.status === null || !list) return true;
  if (note.device_seq <= list.watermark) return false;
  return !(note.settled_time && note.settled_time < timeOf(list.time));
}

/** Keep the list sealed. */
export async function saveList(postman, list) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = await crypto.subtle.encrypt(sealing(iv, postman), await sealingKey(), new TextEncoder().encode(JSON.stringify(list)));
  const now = Date.now();
  const record = { iv, data, ...newAge(timeOf(list.time) ?? now, now) };
  await transact("keep", "readwrite", (tx) => tx.store.put(record, `list:${postman}`));
}

/** Return {list}, or {hidden: true} while the phone's clock says that it is too old, {expired: true}, or null for none. */
export async function readList(postman) {
  const [record, key] = await transact("keep", "readonly", (tx) => Promise.all([tx.store.get(`list:${postman}`), tx.store.get("key")]));
  if (record?.expired) return { expired: true };
  if (!record || !key) return null;
  if (isOver(record, Date.now())) return { expired: true };
  if (isLate(record, Date.now())) return { hidden: true };
  try {
    const raw = await crypto.subtle.decrypt(sealing(record.iv, postman), key, record.data);
    return { list: JSON.parse(new TextDecoder().decode(raw)) };
  } catch {
    return null; // damaged, or sealed by a key that is gone: the next contact brings a new one
  }
}

/** Let the kept lists grow older by `runMs` that the phone has counted; erase those that are over. */
export function growOlder(runMs, serverTime) {
  return transact("keep", "readwrite", async (tx) => {
    for (const name of await tx.store.getAllKeys()) {
      const record = name.startsWith("list:") ? await tx.store.get(name) : null;
      if (!record || record.expired) continue;
      const aged = older(record, Date.now(), runMs);
      await tx.store.put(isOver(aged, Date.now(), timeOf(serverTime)) ? { expired: true } : aged, name);
    }
  });
}

/** Remove the list and its key. The outbox stays: it holds what was done, by ids. */
export function wipeLists() {
  return transact("keep", "readwrite", async (tx) => {
    for (const name of await tx.store.getAllKeys()) {
      if (name === "key" || name.startsWith("list:")) await tx.store.delete(name);
    }
  });
}

const sealing = (iv, postman) => ({ name: "AES-GCM", iv, additionalData: new TextEncoder().encode(`telemed-round-1:${postman}`) });

async function sealingKey() {
  const known = await keep("key");
  if (known) return known;
  const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  return transact("keep", "readwrite", async (tx) => {
    const other = await tx.store.get("key"); // a second window may have been quicker
    if (!other) await tx.store.put(made, "key");
    return other ?? made;
  });
}

/** Return a server's time in milliseconds, or null. */
export function timeOf(text) {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? null : time;
}
