// The postman's page: the list of stops out of the phone's store, with or without a network.

import { clock, isKnown, shortDay } from "lib/dates.js";
import { say } from "lib/notice.js";
import { word } from "lib/words.js";
import { Outbox } from "./outbox.js";
import { hasScanner, loadScanner } from "./scan.js";
import * as store from "./store.js";

const DAY_MS = 86_400_000;
const TICK_MS = 60_000;
const REFUSED = ["conflict", "rejected"];
const page = document.querySelector("[data-round]");
const postman = page.dataset.postman;
// The times are those of the branch, as on the dispatcher's page; a page kept by an earlier release names none.
const zone = isKnown(page.dataset.zone) ? page.dataset.zone : undefined;
const part = (name) => page.querySelector(`[data-${name}]`);
let unsentCount = 0;
let waiting = new Set(); // notes that lay in the store unsent when it was last asked
let isLost = false;
let isScannerComing = false;
let isCounting = false; // one window of this browser counts the time
let countedAt = performance.now();
const unsaved = new Set(); // parcels with a deed that the store refused to keep

const outbox = new Outbox(postman, async ({ error }) => {
  showLine(error);
  await show();
  if (!error) bringScanner();
});
start();

async function start() {
  part("send").addEventListener("click", () => { part("line").textContent = word("sending"); outbox.flush(); });
  part("scanner").addEventListener("click", bringScanner);
  document.querySelector("form[data-forget]")?.addEventListener("submit", leave);
  navigator.serviceWorker?.register("/sw.js", { scope: "/round" }).catch(() => {});
  navigator.serviceWorker?.ready.then(windows).catch(() => {});
  store.whenClosed(() => { outbox.forgetDevice(); show(); });
  countAlone();
  setInterval(tick, TICK_MS);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && tick());
  await tick();
  outbox.start();
  // What only helps must hold up nothing: an old browser may lack it, a full one may refuse it.
  showScanner().catch(() => {});
  askToKeep().catch(() => {});
}

async function showScanner() {
  const isHere = await hasScanner();
  if (!isScannerComing) part("scanner-state").textContent = word(isHere ? "scanner_ready" : "scanner_not_here");
}

// Two windows would count every minute twice.
function countAlone() {
  const begin = () => { isCounting = true; countedAt = performance.now(); };
  if (!navigator.locks) return begin();
  navigator.locks.request("telemed-round-count", () => { begin(); return new Promise(() => {}); });
}

async function tick() {
  const now = performance.now();
  try {
    await store.growOlder(isCounting ? now - countedAt : 0);
    countedAt = now;
  } catch (error) {
    await show();
    return warn(word(error.code));
  }
  await show();
}

/** Show what the phone holds; say so when its store does not answer. */
async function show() {
  try {
    draw(...(await Promise.all([store.readList(postman), store.notes()])));
  } catch (error) {
    storeFails(error);
  }
}

function draw(kept, all) {
  const mine = all.filter((note) => note.postman === postman);
  showUnsent(mine, all);
  showTroubles(mine, kept?.list);
  showStops(kept, mine.filter((note) => store.isNews(note, kept?.list)));
  showDone(mine);
  page.dataset.ready = "yes";
}

// Only the store knows what is kept and what is sent: without its word no badge says that all is well.
function storeFails(error) {
  if (!(error instanceof store.StoreError)) throw error;
  badge("alarm", word("store_unknown"), "unknown");
  warn(word(page.dataset.ready ? error.code : "no_store"));
}

function badge(kind, text, count) {
  part("unsent").textContent = text;
  part("unsent").className = `badge ${kind}`;
  part("unsent").dataset.unsent = count;
}

function showUnsent(mine, all) {
  const unsent = mine.filter((note) => note.status === null);
  const known = new Set(all.map((note) => note.report.event_id));
  isLost ||= [...waiting].some((id) => !known.has(id));
  waiting = new Set(unsent.map((note) => note.report.event_id));
  unsentCount = unsent.length;
  if (unsaved.size) badge("alarm", word("unsaved", { n: unsaved.size }), unsentCount);
  else if (isLost || outbox.isForgetful) badge("alarm", word("notes_lost"), unsentCount);
  else badge(unsentCount ? "warn" : "ok", unsentCount ? word("unsent", { n: unsentCount }) : word("unsent_none"), unsentCount);
  const foreign = all.filter((note) => note.postman !== postman && note.status === null).length;
  if (isLost || outbox.isForgetful) warn(word("lost_notes"));
  else if (foreign) warn(word("other_postman", { n: foreign }));
  else if (unsent.some((note) => Math.abs(Date.now() - note.noted_at) > DAY_MS)) warn(word("old_unsent"));
  else warn("");
}

// Nothing is silent: what the server did not accept stays in sight for a week.
function showTroubles(mine, list) {
  const now = store.timeOf(list?.time) ?? 0;
  const bad = mine.filter((note) => REFUSED.includes(note.status) && now - (note.settled_time ?? now) < 7 * DAY_MS);
  const texts = bad.map((note) => `${note.number ?? ""} ${word(note.report.kind)}: ${word(`code:${note.code}`)}`);
  const shown = part("troubles").querySelector("ul");
  part("troubles").hidden = bad.length === 0;
  if (texts.join("\n") !== [...shown.children].map((item) => item.textContent).join("\n")) shown.replaceChildren(...texts.map(line)); // spoken once
}

function showStops(kept, fresh) {
  const stops = kept?.list?.parcels ?? [];
  const open = stops.filter((stop) => !lastOf(fresh, stop, ["handed_over"]));
  part("stops").replaceChildren(...open.map((stop) => card(stop, lastOf(fresh, stop, ["attempted", "returned"]))));
  part("empty").hidden = open.length > 0;
  part("empty").querySelector("p").textContent = word(kept?.expired ? "expired" : kept?.hidden ? "list_hidden" : kept ? "all_done" : "no_list");
}

function lastOf(fresh, stop, kinds) {
  return fresh.find((note) => note.report.parcel_id === stop.parcel_id && kinds.includes(note.report.kind) && [null, "applied"].includes(note.status));
}

function showDone(mine) {
  const today = mine.filter((note) => !REFUSED.includes(note.status) && shortDay(note.noted_at, zone) === shortDay(Date.now(), zone));
  part("done-part").hidden = today.length === 0;
  part("done").replaceChildren(...today.map((note) => line(describe(note))));
}

function describe(note) {
  const time = clock(note.noted_at, zone);
  const reason = note.report.reason ? `, ${word(`code:${note.report.reason}`)}` : "";
  return `${time} ${note.number ?? ""} ${word(kindOf(note))}${reason}${note.status === null ? ` (${word("not_sent")})` : ""}`;
}

function kindOf({ report, status }) {
  if (report.kind !== "handed_over") return report.kind;
  if (!report.proof) return "handed_over_unverified";
  const isSpoken = /^[0-9]{9}$/.test(report.proof);
  return isSpoken && status === null ? "handed_over_unchecked" : "handed_over"; // only the server knows the code
}

function card(stop, tried) {
  const element = document.getElementById("stop").content.cloneNode(true).firstElementChild;
  const set = (name, text) => { element.querySelector(`[data-${name}]`).textContent = text; };
  element.dataset.stop = stop.parcel_id;
  set("name", stop.name);
  set("address", [stop.place, stop.address].filter(Boolean).join(", "));
  stop.shown = stop.number.replace(/^(.{6})(.{2})(.{5})(.)$/, "$1 $2 $3 $4"); // in the groups that people read aloud
  set("number", stop.shown);
  const state = tried?.report.kind ?? { attempted: "attempted", returning: "returned" }[stop.state];
  set("note", [state && word(state), tried && word(`code:${tried.report.reason}`)].filter(Boolean).join(", "));
  element.querySelector("[data-flags]").append(...stop.flags.map(flag));
  const note = (kind, details) => keepNote(stop, kind, details);
  element.querySelector("[data-hand-over]").onclick = () => openWindow("openHandOver", stop, note);
  element.querySelector("[data-fail]").onclick = () => openWindow("openFailure", stop, note);
  element.querySelector("[data-fail]").hidden = state === "returned"; // the patient may still be met on the way back
  return element;
}

// No part of the first screen: they come with the parts that are kept on the phone.
function windows() {
  return import("./handover.js");
}

async function openWindow(name, stop, note) {
  try {
    (await windows())[name](stop, note);
  } catch {
    say(word("code:offline"), "error"); // the very first visit was cut off before its parts had come
  }
}

// Returns the words for the postman when the deed could not be kept.
async function keepNote(stop, kind, details) {
  try {
    const note = await outbox.note(kind, stop.parcel_id, { ...details, number: stop.number });
    unsaved.delete(stop.parcel_id);
    say(word(note ? "saved" : "already"), note ? "success" : "info");
  } catch (error) {
    if (!(error instanceof store.StoreError)) throw error;
    unsaved.add(stop.parcel_id);
    badge("alarm", word("unsaved", { n: unsaved.size }), unsentCount);
    return word(`not_saved_${error.code}`);
  }
  await show();
  outbox.flush();
  return "";
}

function flag(code) {
  const badge = document.getElementById("flag").content.cloneNode(true).firstElementChild;
  badge.textContent = word(`code:flag_${code}`);
  if (code === "recalled") badge.className = "badge alarm";
  return badge;
}

function line(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

function showLine(error) {
  if (error instanceof store.StoreError) return void (part("line").textContent = word(error.code));
  const needsSignIn = error?.status === 401;
  part("sign-in").hidden = !needsSignIn;
  const time = clock(Date.now(), zone);
  part("line").textContent = !error ? word("sent_at", { time }) : error.status === 0 ? word("offline") : error.sentence;
}

function warn(text) {
  part("warning").hidden = !text;
  part("warning").textContent = text;
}

async function askToKeep() {
  const isKept = (await navigator.storage?.persisted?.()) || (await navigator.storage?.persist?.()) || false;
  part("kept").textContent = word(isKept ? "kept" : "not_kept");
}

// With the round, where there is a network: out in the village it is too late.
async function bringScanner() {
  if (isScannerComing) return;
  isScannerComing = true;
  const state = part("scanner-state");
  part("scanner").hidden = true;
  try {
    if (!(await hasScanner())) await loadScanner((percent) => { state.textContent = word("scanner_comes", { percent }); });
    state.textContent = word("scanner_ready");
  } catch {
    state.textContent = word("scanner_failed"); // a slow line, or no room: the spoken code does without
    part("scanner").hidden = false;
  }
  isScannerComing = false;
}

// Signing out wipes the list and its key, never the notes; unsent ones are named first.
async function leave(event) {
  const form = event.target;
  if (form.dataset.sure) return;
  event.preventDefault();
  const go = async () => {
    form.dataset.sure = "yes";
    await caches.delete("telemed-round-page").catch(() => false);
    form.requestSubmit();
  };
  const wipe = async () => {
    try {
      await store.wipeLists();
    } catch {
      return say(word("not_wiped"), "error", { text: word("sign_out"), run: go });
    }
    await go();
  };
  if (!unsentCount && !unsaved.size) return wipe();
  const text = unsaved.size ? word("sign_out_unsaved", { n: unsaved.size }) : word("sign_out_unsent", { n: unsentCount });
  say(text, "error", { text: word("sign_out"), run: wipe });
}
