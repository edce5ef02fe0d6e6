// Save the note by itself, soon after the last key. What got no answer is sent again as it was, under the same key, so
// that an answer that was lost does not look like another window's words.
import { newId, post } from "../lib/api.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";
import { goToBlank } from "./note-blanks.js";
import { noteDraft } from "./note-draft.js";

const PAUSE_MS = 1500, AGAIN_MS = 5000;
const form = document.querySelector("[data-note]");
const state = document.querySelector("[data-note-state]");
const base = form.elements.base_revision;
const draft = noteDraft(form);
let timer = null, isSaving = false, isDirty = false, isRefused = false;
let sent = null; // {key, body} of which it is not known whether it is stored
let unsay = () => {};

async function save() {
  if (isSaving || !(sent || isDirty)) return;
  isSaving = true;
  state.textContent = word("saving");
  hold();
  try {
    const { revision } = await post(form.dataset.url, sent.body, { key: sent.key });
    base.value = revision;
    sent = null;
    unsay();
    state.textContent = word(isDirty ? "saving" : "saved"); // more may have been typed meanwhile
  } catch (error) {
    refuse(error);
  } finally {
    isSaving = false;
    draft.keep(isDirty || sent, sent);
    if (isDirty && !isRefused && !sent) later(PAUSE_MS);
  }
}

function hold() {
  if (sent) return;
  sent = { key: newId(), body: { base_revision: Number(base.value), note: draft.text() } };
  isDirty = isRefused = false;
  draft.keep(true, sent);
}

function later(pauseMs) {
  clearTimeout(timer);
  timer = setTimeout(save, pauseMs);
}

// What the server will not take stays in the page and in this tab's memory; a look at what is stored shows what can be done.
function refuse(error) {
  state.textContent = word(error.code === "note_changed" ? "note_changed" : "unsaved");
  if (error.mayRetry) return later(AGAIN_MS);
  isDirty = isRefused = true;
  sent = null;
  const isSignedOut = ["sign_in_needed", "csrf_expired"].includes(error.code);
  const again = { text: word(isSignedOut ? "sign_in_again" : "look_again"), run: isSignedOut ? () => location.reload() : look };
  unsay();
  unsay = say(isSignedOut ? word("code:sign_in_needed") : error.sentence, "error", again);
}

// What is stored now takes the place of what this page began with; the doctor's unsaved words come back into it.
async function look() {
  const answer = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
  const stored = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-note]");
  if (!stored) return location.reload();
  clearTimeout(timer);
  draft.keep(isDirty || sent, sent);
  put(stored);
}

function put(stored) {
  form.querySelectorAll(".note-apart").forEach((box) => box.remove());
  for (const field of form.querySelectorAll("textarea")) field.value = stored.elements[field.name].value;
  base.value = stored.elements.base_revision.value;
  isDirty = isRefused = false;
  sent = null;
  goOn();
}

/** Go on with the words of this tab's memory, if there are any. */
function goOn() {
  const found = draft.restore();
  if (!found) return;
  say(word("restored"), "success");
  sent = found.sent;
  isDirty = true;
  save();
}

// A deed in the middle of the talk brought the page's news: another window may have saved meanwhile.
document.querySelector("[data-case]").addEventListener("case-news", ({ detail: { news, hash } }) => {
  const stored = news.querySelector("[data-note]");
  if (stored && !isDirty && !sent && !isSaving && stored.elements.base_revision.value !== base.value) put(stored);
  if (hash.startsWith("#note-")) goToBlank(form);
});

form.addEventListener("input", () => {
  isDirty = true;
  draft.keep(true, sent);
  if (!sent) later(PAUSE_MS);
});
form.addEventListener("submit", (event) => { event.preventDefault(); isDirty = true; save(); });
addEventListener("pagehide", () => {
  if (!isDirty && !sent) return;
  hold();
  post(form.dataset.url, sent.body, { key: sent.key, keepalive: true }).catch(() => {});
});
// Leaving with unsaved words asks first; ending the case saves them before.
document.querySelector(".end-case")?.addEventListener("submit", async (event) => {
  if (event.currentTarget.outcome.value !== "not_reached" && goToBlank(form)) {
    event.preventDefault();
    return say(word("code:note_blank"), "warn");
  }
  if (!isDirty && !sent) return;
  event.preventDefault();
  const end = event.currentTarget, pressed = event.submitter;
  while (isSaving) await new Promise((resolve) => setTimeout(resolve, 50));
  clearTimeout(timer);
  for (let turn = 0; turn < 2 && (sent || isDirty); turn += 1) await save(); // what was sent before, then the newest words
  if (isDirty || sent) return say(word("unsaved"), "warn"); // nothing ends before its note is stored
  clearTimeout(timer);
  end.requestSubmit(pressed); // with the button, which may ask for the next patient
});

if (location.hash.startsWith("#note-")) goToBlank(form); // the server refused to end the case
goOn();
