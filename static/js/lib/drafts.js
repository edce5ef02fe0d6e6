// Unsent words of a form are kept on the server, sealed for who typed them, by form and by whom it is about. Nothing of
// them is kept in this browser. Forms carry <input type="hidden" name="draft" value="form|about|page">.
import { get, newId, post } from "./api.js";
import { changedFields } from "./renew.js";
import { say } from "./notice.js";
import { word } from "./words.js";

const PATH = "/api/v1/drafts";
const PAUSE_MS = 1_000;
const NOT_WORDS = ["hidden", "password", "file", "submit", "button"];
const states = new WeakMap(); // form -> {touched, timer}; a live part of a page may bring new forms

document.addEventListener("input", ({ target }) => {
  const draft = target.form?.elements.draft?.value;
  if (!draft) return;
  const state = stateOf(target.form);
  state.touched.add(target.name);
  clearTimeout(state.timer);
  state.timer = setTimeout(save, PAUSE_MS, target.form);
});
// The server forgets what was sent; a save of this page that arrives later is ignored there.
document.addEventListener("submit", ({ target }) => flush(target));
// A form that was sent from where it stands goes on as a new one.
document.addEventListener("in-place-done", ({ target }) => {
  const mark = target.elements?.draft;
  if (!mark) return;
  clearTimeout(states.get(target)?.timer);
  states.delete(target);
  mark.value = mark.value.replace(/[^|]*$/, newId().replaceAll("-", "").slice(0, 16));
}, true);
addEventListener("pagehide", () => [...document.forms].forEach(flush));
// What was typed before this script was here, on a thin line.
for (const form of [...document.forms].filter((one) => one.elements.draft)) {
  const changed = changedFields(form);
  for (const field of changed) stateOf(form).touched.add(field.name);
  if (changed.length) stateOf(form).timer = setTimeout(save, PAUSE_MS, form);
}
// A page that answers a sent form holds its words already.
document.querySelectorAll("form input[name=draft]:not([data-held])").forEach((mark) => offer(mark.form, mark.value));

function stateOf(form) {
  if (!states.has(form)) states.set(form, { touched: new Set(), timer: null });
  return states.get(form);
}

function save(form, keepalive = false) {
  clearTimeout(stateOf(form).timer);
  stateOf(form).timer = null;
  post(PATH, { draft: form.elements.draft.value, words: wordsOf(form) }, { keepalive }).catch(() => {}); // the next word tries again
}

function flush(form) {
  if (states.get(form)?.timer) save(form, true);
}

async function offer(form, draft) {
  const found = await get(`${PATH}?draft=${encodeURIComponent(draft)}`).catch(() => null);
  if (!found?.words.length) return;
  const drop = () => post(`${PATH}/drop`, { draft }).catch(() => {});
  if (draft.split("|")[1]) { // the same visit, case or patient: these words belong here
    fill(form, found.words);
    return say(word("draft_restored"), "info", { text: word("start_empty"), run: () => { form.reset(); drop(); } });
  }
  const put = { text: word("draft_put_in"), run: () => fill(form, found.words) };
  say(word("draft_kept", { time: found.saved }), "info", [put, { text: word("draft_drop"), run: drop }]);
}

const isWord = (field) => field.name && !NOT_WORDS.includes(field.type) && field.dataset.noDraft === undefined;
const isChoice = (field) => ["radio", "checkbox"].includes(field.type);

function wordsOf(form) {
  return [...form.elements].filter((field) => isWord(field) && (!isChoice(field) || field.checked)).map((field) => [field.name, field.value]);
}

// A field that somebody has typed into meanwhile keeps what it has.
function fill(form, words) {
  const { touched } = stateOf(form);
  for (const field of [...form.elements].filter((one) => isWord(one) && !touched.has(one.name))) {
    const values = words.filter(([name]) => name === field.name).map(([, value]) => value);
    if (isChoice(field)) field.checked = values.includes(field.value);
    else if (values.length) field.value = values[0];
  }
  const details = form.closest("details");
  if (details) details.open = true;
  form.dispatchEvent(new Event("change", { bubbles: true }));
}
