// What the phone keeps: the day's list, sealed with a key that cannot leave this browser, and the outbox of notes.

import { openDB } from "idb";

const LIST_LIVES_MS = 7 * 86_400_000;
const NOTES_LIVE_MS = 30 * 86_400_000; // a restored server may ask for them again
const STRICT = { durability: "strict" }; // "saved" is shown only after the disk has it

const opened = openDB("telemed-round", 1, {
  upgrade(db) {
    db.createObjectStore("keep");
    const outbox = db.createObjectStore("outbox", { keyPath: ["device_id", "device_seq"] });
    outbox.createIndex("once", "once", { unique: true });
  },
});

const keep = async (name) => (await opened).get("keep", name);
const put = async (name, value) => (await opened).put("keep", value, name);

/** Return this phone's id for a postman; it is made at the first use. */
export async function deviceOf(postman, newId) {
  const tx = (await opened).transaction("keep", "readwrite", STRICT);
  const known = await tx.store.get(`device:${postman}`);
  const id = known ?? newId();
  if (!known) await tx.store.put(id, `device:${postman}`);
  await tx.done;
  return id;
}

/** Number on from the server's watermark when it is ahead of this phone; tell whether it was. */
export async function skipTo(device, watermark) {
  const tx = (await opened).transaction("keep", "readwrite", STRICT);
  const isBehind = ((await tx.store.get(`seq:${device}`)) ?? 0) < watermark;
  if (isBehind) await tx.store.put(watermark, `seq:${device}`);
  await tx.done;
  return isBehind;
}

export const epochOf = (device) => keep(`epoch:${device}`);

/** Add a note with the next number. Return it, or null when `once` was noted before: a hundred taps are one note. */
export async function append(device, postman, { report, once, number }) {
  const tx = (await opened).transaction(["keep", "outbox"], "readwrite", STRICT);
  const [numbers, outbox] = [tx.objectStore("keep"), tx.objectStore("outbox")];
  if ((await outbox.index("once").getKey(once)) !== undefined) return tx.done.then(() => null);
  const seq = ((await numbers.get(`seq:${device}`)) ?? 0) + 1;
  const note = { device_id: device, device_seq: seq, postman, once, number, report: { ...report, device_seq: seq }, status: null, code: null, settled_at: null, noted_at: Date.now() };
  await Promise.all([numbers.put(seq, `seq:${device}`), outbox.add(note), tx.done]);
  return note;
}

export const notes = async () => (await opened).getAll("outbox");

/** Keep what the server said of each note. A conflict or refusal frees the deed, so that it can be noted anew. */
export async function settle(device, answer) {
  const tx = (await opened).transaction(["keep", "outbox"], "readwrite", STRICT);
  const outbox = tx.objectStore("outbox");
  for (const result of answer.results) {
    const note = result.device_seq && (await outbox.get([device, result.device_seq]));
    if (!note || note.report.event_id !== result.event_id) continue;
    note.status = result.status === "duplicate" ? result.was ?? "applied" : result.status;
    Object.assign(note, { code: result.code, settled_at: Date.now() });
    if (note.status !== "applied" || note.report.kind === "returned") note.once = note.report.event_id;
    await outbox.put(note);
  }
  await tx.objectStore("keep").put(answer.epoch, `epoch:${device}`);
  await tx.done;
}

/** The server went back to an older state: send again all that it does not have. */
export async function unsettleAbove(device, watermark) {
  const tx = (await opened).transaction("outbox", "readwrite", STRICT);
  for (const note of await tx.store.getAll()) {
    if (note.device_id !== device || note.device_seq <= watermark || note.status === null) continue;
    await tx.store.put({ ...note, status: null, code: null, settled_at: null });
  }
  await tx.done;
}

/** Forget settled notes after 30 days; an unsent one is never forgotten. */
export async function prune() {
  const tx = (await opened).transaction("outbox", "readwrite");
  for (const note of await tx.store.getAll()) {
    if (note.status !== null && Date.now() - note.settled_at > NOTES_LIVE_MS) await tx.store.delete([note.device_id, note.device_seq]);
  }
  await tx.done;
}

/** Keep the list sealed. `time` is the server's: later readings of a clock that was set back do not count. */
export async function saveList(postman, list) {
  const now = await highWater(Date.parse(list.time));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const key = (await keep("key")) ?? (await newKey());
  const data = await crypto.subtle.encrypt(sealing(iv, postman), key, new TextEncoder().encode(JSON.stringify(list)));
  await put(`list:${postman}`, { iv, data, saved_at: now });
}

/** Return {list, saved_at}, or {expired: true}, or null when there is none. */
export async function readList(postman) {
  const sealed = await keep(`list:${postman}`);
  const key = await keep("key");
  if (sealed?.expired) return sealed;
  if (!sealed || !key) return null;
  if ((await highWater(0)) - sealed.saved_at > LIST_LIVES_MS) {
    await put(`list:${postman}`, { expired: true });
    return { expired: true };
  }
  const raw = await crypto.subtle.decrypt(sealing(sealed.iv, postman), key, sealed.data);
  return { list: JSON.parse(new TextDecoder().decode(raw)), saved_at: sealed.saved_at };
}

/** Remove the list and its key. The outbox stays: it holds what was done, by ids. */
export async function wipeLists() {
  const tx = (await opened).transaction("keep", "readwrite", STRICT);
  for (const name of await tx.store.getAllKeys()) {
    if (name === "key" || name.startsWith("list:")) await tx.store.delete(name);
  }
  await tx.done;
}

const sealing = (iv, postman) => ({ name: "AES-GCM", iv, additionalData: new TextEncoder().encode(`telemed-round-1:${postman}`) });

async function newKey() {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  await put("key", key);
  return key;
}

async function highWater(serverTime) {
  const now = Math.max(Date.now(), serverTime, (await keep("high-water")) ?? 0);
  await put("high-water", now);
  return now;
}
