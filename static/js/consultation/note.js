// Save the note by itself, soon after the last key; what could not be sent stays here and is tried again. Words that
// the server has not confirmed also lie in this tab's own memory, which a browser restores after a crash.
import { post } from "../lib/api.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

const PAUSE_MS = 1500, AGAIN_MS = 5000;
const form = document.querySelector("[data-note]");
const state = document.querySelector("[data-note-state]");
const base = form.elements.base_revision;
const fields = [...form.querySelectorAll("textarea")];
let timer = null, isSaving = false, isDirty = false;

const draftKey = `note:${form.dataset.url}`;
const text = () => Object.fromEntries(fields.map((field) => [field.name, field.value]));

async function save() {
  if (isSaving || !isDirty) return;
  isSaving = true;
  isDirty = false;
  state.textContent = word("saving");
  try {
    const answer = await post(form.dataset.url, { base_revision: Number(base.value), note: text() });
    base.value = answer.revision;
    if (!isDirty) keep(null);
    state.textContent = word("saved");
  } catch (error) {
    isDirty = error.code !== "note_changed";
    state.textContent = word(error.code === "note_changed" ? "note_changed" : "unsaved");
    if (isDirty) timer = setTimeout(save, AGAIN_MS);
  } finally {
    isSaving = false;
    if (isDirty && !timer) timer = setTimeout(save, PAUSE_MS);
  }
}

// A draft belongs to the revision it grew from: what another window saved meanwhile is never overwritten.
function restore() {
  const draft = recall();
  if (!draft || draft.base !== base.value) return keep(null);
  const differing = fields.filter((field) => draft.note[field.name] !== undefined && draft.note[field.name] !== field.value);
  for (const field of differing) field.value = draft.note[field.name];
  if (!differing.length) return keep(null);
  say(word("restored"), "ok");
  isDirty = true;
  save();
}

function recall() {
  try { return JSON.parse(sessionStorage.getItem(draftKey)); } catch { return null; }
}

function keep(draft) {
  try {
    if (draft) sessionStorage.setItem(draftKey, JSON.stringify(draft));
    else sessionStorage.removeItem(draftKey);
  } catch { /* a browser may forbid storage: the autosave remains */ }
}

form.addEventListener("input", () => {
  isDirty = true;
  keep({ base: base.value, note: text() });
  clearTimeout(timer);
  timer = setTimeout(() => { timer = null; save(); }, PAUSE_MS);
});
form.addEventListener("submit", (event) => { event.preventDefault(); isDirty = true; save(); });
addEventListener("pagehide", () => { if (isDirty) post(form.dataset.url, { base_revision: Number(base.value), note: text() }, { keepalive: true }).catch(() => {}); });
// Leaving with unsaved words asks first; ending the case saves them before.
document.querySelector(".end-case")?.addEventListener("submit", async (event) => {
  if (!isDirty && !isSaving) return;
  event.preventDefault();
  const end = event.currentTarget, pressed = event.submitter;
  clearTimeout(timer);
  while (isSaving) await new Promise((resolve) => setTimeout(resolve, 50));
  await save();
  if (isDirty) return say(word("unsaved"), "warn"); // nothing ends before its note is stored
  end.requestSubmit(pressed); // with the button, which may ask for the next patient
});
restore();
