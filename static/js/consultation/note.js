// Save the note by itself, two seconds after the last key; what could not be sent stays here and is tried again.
import { post } from "../lib/api.js";
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
    sessionStorage.removeItem(draftKey);
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

form.addEventListener("input", () => {
  isDirty = true;
  clearTimeout(timer);
  timer = setTimeout(() => { timer = null; save(); }, PAUSE_MS);
});
form.addEventListener("submit", (event) => { event.preventDefault(); isDirty = true; save(); });
addEventListener("pagehide", () => { if (isDirty) post(form.dataset.url, { base_revision: Number(base.value), note: text() }, { keepalive: true }).catch(() => {}); });
// Leaving with unsaved words asks first; ending the case saves them before.
document.querySelector(".end-case")?.addEventListener("submit", async (event) => {
  if (!isDirty && !isSaving) return;
  event.preventDefault();
  const end = event.currentTarget;
  clearTimeout(timer);
  while (isSaving) await new Promise((resolve) => setTimeout(resolve, 50));
  await save();
  end.submit();
});
