// The postman's page: the list of stops out of the phone's store, with or without a network.

import { say } from "lib/notice.js";
import { word } from "lib/words.js";
import { grouped, openFailure, openHandOver } from "./handover.js";
import { Outbox } from "./outbox.js";
import { loadScanner, SCANNER_CACHE } from "./scan.js";
import * as store from "./store.js";

const DAY_MS = 86_400_000;
const page = document.querySelector("[data-round]");
const postman = page.dataset.postman;
const part = (name) => page.querySelector(`[data-${name}]`);
let unsentCount = 0;

const outbox = new Outbox(postman, async ({ error }) => { showLine(error); await show(); });
start();

async function start() {
  part("send").addEventListener("click", () => { part("line").textContent = word("sending"); outbox.flush(); });
  part("scanner").addEventListener("click", fetchScanner);
  document.querySelector("form[data-forget]")?.addEventListener("submit", leave);
  navigator.serviceWorker?.register("/sw.js", { scope: "/round" }).catch(() => {});
  try {
    await show();
  } catch {
    return warn(word("no_store"));
  }
  await askToKeep();
  await outbox.start();
}

async function show() {
  const [kept, all] = await Promise.all([store.readList(postman), store.notes()]);
  const mine = all.filter((note) => note.postman === postman);
  showUnsent(mine, all);
  showTroubles(mine);
  showStops(kept, mine.filter((note) => note.status === null || note.settled_at > (kept?.saved_at ?? 0)));
  showDone(mine);
  page.dataset.ready = "yes";
}

function showUnsent(mine, all) {
  const unsent = mine.filter((note) => note.status === null);
  unsentCount = unsent.length;
  part("unsent").textContent = unsentCount ? word("unsent", { n: unsentCount }) : word("unsent_none");
  part("unsent").className = `badge ${unsentCount ? "warn" : "ok"}`;
  part("unsent").dataset.unsent = unsentCount;
  const foreign = all.filter((note) => note.postman !== postman && note.status === null).length;
  if (outbox.isForgetful) warn(word("lost_notes"));
  else if (foreign) warn(word("other_postman", { n: foreign }));
  else if (unsent.some((note) => Date.now() - note.noted_at > DAY_MS)) warn(word("old_unsent"));
  else warn("");
}

// Nothing is silent: what the server did not accept stays in sight for a week.
function showTroubles(mine) {
  const bad = mine.filter((note) => ["conflict", "rejected"].includes(note.status) && Date.now() - note.settled_at < 7 * DAY_MS);
  part("troubles").hidden = bad.length === 0;
  part("troubles").querySelector("ul").replaceChildren(...bad.map((note) => line(`${note.number ?? ""} ${word(note.report.kind)}: ${word(`code:${note.code}`)}`)));
}

function showStops(kept, fresh) {
  const stops = kept?.list?.parcels ?? [];
  const open = stops.filter((stop) => !lastOf(fresh, stop, ["handed_over", "returned"]));
  part("stops").replaceChildren(...open.map((stop) => card(stop, lastOf(fresh, stop, ["attempted"]))));
  part("empty").hidden = open.length > 0;
  part("empty").querySelector("p").textContent = word(kept?.expired ? "expired" : kept ? "all_done" : "no_list");
}

function lastOf(fresh, stop, kinds) {
  return fresh.find((note) => note.report.parcel_id === stop.parcel_id && kinds.includes(note.report.kind) && [null, "applied"].includes(note.status));
}

function showDone(mine) {
  const today = mine.filter((note) => new Date(note.noted_at).toDateString() === new Date().toDateString());
  part("done-part").hidden = today.length === 0;
  part("done").replaceChildren(...today.map((note) => line(describe(note))));
}

function describe(note) {
  const time = new Date(note.noted_at).toTimeString().slice(0, 5);
  const kind = note.report.kind === "handed_over" && !note.report.proof ? "handed_over_unverified" : note.report.kind;
  const reason = note.report.reason ? `, ${word(`code:${note.report.reason}`)}` : "";
  return `${time} ${note.number ?? ""} ${word(kind)}${reason}${note.status === null ? ` (${word("not_sent")})` : ""}`;
}

function card(stop, tried) {
  const element = document.getElementById("stop").content.cloneNode(true).firstElementChild;
  const set = (name, text) => { element.querySelector(`[data-${name}]`).textContent = text; };
  element.dataset.stop = stop.parcel_id;
  set("name", stop.name);
  set("address", [stop.place, stop.address].filter(Boolean).join(", "));
  set("number", grouped(stop.number));
  set("note", tried ? `${word("attempted")}, ${word(`code:${tried.report.reason}`)}` : stop.state === "attempted" ? word("attempted") : stop.state === "returning" ? word("returned") : "");
  element.querySelector("[data-flags]").append(...stop.flags.map(flag));
  const note = (kind, details) => keepNote(stop, kind, details);
  element.querySelector("[data-hand-over]").onclick = () => openHandOver(stop, note);
  element.querySelector("[data-fail]").onclick = () => openFailure(stop, note);
  if (stop.state === "returning") element.querySelectorAll("button").forEach((button) => { button.hidden = true; });
  return element;
}

async function keepNote(stop, kind, details) {
  const note = await outbox.note(kind, stop.parcel_id, { ...details, number: stop.number });
  say(word(note ? "saved" : "already"), note ? "success" : "info");
  await show();
  outbox.flush();
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
  const needsSignIn = error?.status === 401;
  part("sign-in").hidden = !needsSignIn;
  const time = new Date().toTimeString().slice(0, 5);
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

async function fetchScanner() {
  const bar = part("scanner-progress");
  bar.hidden = false;
  try {
    await loadScanner((percent) => { bar.value = percent; });
    part("scanner").hidden = bar.hidden = true;
    say(word("scanner_ready"), "success");
  } catch {
    bar.hidden = true;
    await caches.delete(SCANNER_CACHE);
    say(word("scanner_failed"), "error");
  }
}

// Signing out wipes the list and its key, never the notes; unsent ones are named first.
async function leave(event) {
  const form = event.target;
  if (form.dataset.sure) return;
  event.preventDefault();
  const go = async () => {
    form.dataset.sure = "yes";
    await store.wipeLists();
    await caches.delete("telemed-round-page");
    form.requestSubmit();
  };
  if (!unsentCount) return go();
  say(word("sign_out_unsent", { n: unsentCount }), "error", { text: word("sign_out"), run: go });
}
