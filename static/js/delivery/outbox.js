// Sends the notes whenever there is a way: on load, when the network returns, when the page is seen, every minute.

import { ApiError, get, newId, post } from "lib/api.js";
import * as store from "./store.js";

const BATCH = 100;
const EVERY_MS = 60_000;

export class Outbox {
  /** `changed({error})` is called after every attempt. */
  constructor(postman, changed) {
    Object.assign(this, { postman, changed, device: null, running: null, isWanted: false, isForgetful: false });
  }

  start() {
    addEventListener("online", () => this.flush());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.flush());
    setInterval(() => document.visibilityState === "visible" && this.flush(), EVERY_MS);
    return this.flush();
  }

  /** The store may have lost what it held: ask it for everything anew. */
  forgetDevice() {
    this.device = null;
  }

  async #device() {
    this.device ??= await store.deviceOf(this.postman, newId);
    return this.device;
  }

  /** Note a deed durably; null when it was noted before. Raises StoreError when it is not kept. */
  async note(kind, parcelId, { proof = null, reason = null, number = "" } = {}) {
    const once = kind === "attempted" ? `${parcelId}:${kind}:${new Date().toDateString()}` : `${parcelId}:${kind}`;
    const report = { event_id: newId(), kind, parcel_id: parcelId, happened_at: new Date().toISOString(), proof, reason };
    return store.append(await this.#device(), this.postman, { report, once, number });
  }

  /** Send all and read the list anew. Only one at a time; a call meanwhile has its own turn after it. */
  flush() {
    this.isWanted = true; // the try that runs may have begun without a network, and still hang
    this.running ??= this.#turns().finally(() => { this.running = null; });
    return this.running;
  }

  async #turns() {
    while (this.isWanted) {
      this.isWanted = false;
      await this.#run();
    }
  }

  async #run() {
    const error = await this.#try(() => this.#withFreshToken(() => this.#exchange()));
    const failed = error?.code === "phone_revoked" ? await this.#try(() => store.wipeLists()) : null;
    await this.changed({ error: failed ?? error });
  }

  // No network, a refusal, or a store that does not answer: each is shown, and the next turn tries again.
  async #try(work) {
    try {
      await work();
    } catch (caught) {
      if (caught instanceof ApiError || caught instanceof store.StoreError) return caught;
      throw caught;
    }
    return null;
  }

  async #exchange() {
    await this.#device();
    await this.#register();
    for (let batch = await this.#unsent(); batch.length; batch = await this.#unsent()) {
      const epoch = (await store.epochOf(this.device)) ?? null;
      const events = batch.map((note) => note.report);
      const answer = await post("/api/v1/delivery/sync", { device_id: this.device, epoch, events });
      if (!Array.isArray(answer?.results)) throw new ApiError("offline"); // somebody else answered, e.g. a hotel's portal
      await store.settle(this.device, answer);
      if (epoch !== null && epoch !== answer.epoch) await store.unsettleAbove(this.device, answer.watermark);
      else if (!answer.results.some((result) => batch.some((note) => note.report.event_id === result.event_id))) return;
    }
    await this.#readList();
  }

  async #register() {
    const answer = await post("/api/v1/delivery/phones", { device_id: this.device });
    if (answer?.time) await store.growOlder(0, answer.time);
    // The server knows more of this phone than the phone itself: number on from there, and say so.
    this.isForgetful = (await store.skipTo(this.device, answer.watermark)) || this.isForgetful;
  }

  async #readList() {
    const list = await get(`/api/v1/delivery/round?device_id=${this.device}`);
    if (!Array.isArray(list?.parcels)) throw new ApiError("offline");
    useToken(list.csrf);
    const epoch = await store.epochOf(this.device);
    await store.saveList(this.postman, list);
    await store.prune(list.time);
    if (epoch && epoch !== list.epoch) {
      await store.settle(this.device, { results: [], epoch: list.epoch });
      await store.unsettleAbove(this.device, list.watermark);
      return this.#exchange();
    }
  }

  // The page may come from the phone's store, with the form token of an earlier session.
  async #withFreshToken(work) {
    try {
      await work();
    } catch (error) {
      if (error.code !== "csrf_expired") throw error;
      const page = await fetch("/round?token", { credentials: "same-origin", redirect: "error" }).catch(() => null);
      if (!page?.ok) throw new ApiError("sign_in_needed", 401);
      const fresh = new DOMParser().parseFromString(await page.text(), "text/html");
      useToken(fresh.querySelector('meta[name="csrf-token"]').content);
      await work();
    }
  }

  async #unsent() {
    const all = await store.notes();
    return all.filter((note) => note.device_id === this.device && note.status === null).slice(0, BATCH);
  }
}

function useToken(token) {
  document.querySelector('meta[name="csrf-token"]').content = token;
}
