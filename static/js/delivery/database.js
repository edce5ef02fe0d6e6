// The phone's database: opened when it is needed, and again when the system has closed it. Every deed is one transaction
// that is whole on the disk, or has not happened and says so.

import { openDB } from "idb";

const ANSWERS_WITHIN_MS = 8_000; // a disk that hangs must not hang the postman
const STRICT = { durability: "strict" }; // "saved" is shown only after the disk has it
let opening = null;
let closed = () => {};

/** The phone could not keep or read something. `code`: "store_full" or "store_silent". */
export class StoreError extends Error {
  constructor(cause) {
    super("store", { cause });
    this.code = cause?.name === "QuotaExceededError" ? "store_full" : "store_silent";
  }
}

/** Call `tell` whenever the system has closed the database under this page. */
export const whenClosed = (tell) => { closed = tell; };

/** Do `deed(tx)` in one transaction over `stores` and return its value. Raises StoreError when it has not happened. */
export async function transact(stores, mode, deed) {
  try {
    return await attempt(stores, mode, deed);
  } catch (error) {
    if (error instanceof StoreError || isFull(error)) throw asStoreError(error);
    forget();
  }
  try {
    return await attempt(stores, mode, deed); // the connection was gone: what it had begun is undone, so begin anew
  } catch (error) {
    forget();
    throw asStoreError(error);
  }
}

const isFull = (error) => error?.name === "QuotaExceededError";
const asStoreError = (error) => (error instanceof StoreError ? error : new StoreError(error));

async function attempt(stores, mode, deed) {
  let tx = null;
  const work = async () => {
    tx = (await connection()).transaction(stores, mode, STRICT);
    tx.done.catch(() => {}); // its failure is told by the one who waits below
    try {
      const value = await deed(tx);
      await tx.done;
      return value;
    } catch (error) {
      abort(tx);
      throw tx.error ?? error; // a full disk shows at the end, as the reason of the whole transaction
    }
  };
  try {
    return await answered(work());
  } catch (error) {
    if (tx) abort(tx); // "not saved" has to stay true when the disk wakes up later
    throw error;
  }
}

function answered(work) {
  let timer;
  work.catch(() => {}); // after the time is over nobody waits for it any more
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => { forget(); refuse(new StoreError(null)); }, ANSWERS_WITHIN_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function abort(tx) {
  try { tx.abort(); } catch { /* it has ended by itself */ }
}

function connection() {
  opening ??= openDB("telemed-round", 1, { upgrade, blocking: giveWay, terminated });
  opening.catch(forget);
  return opening;
}

// Notes of a page of an earlier release lie in the same two stores: their shape never changes, it only grows.
function upgrade(db) {
  db.createObjectStore("keep");
  const outbox = db.createObjectStore("outbox", { keyPath: ["device_id", "device_seq"] });
  outbox.createIndex("once", "once", { unique: true });
}

function forget() {
  opening?.then((db) => db.close(), () => {});
  opening = null;
}

function giveWay(_current, _blocked, event) {
  event.target.close(); // a newer page wants to change the stores, or somebody clears them
  terminated();
}

function terminated() {
  opening = null;
  closed();
}
