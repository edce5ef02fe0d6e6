// Words that the server has not confirmed lie in this tab's own memory, which a browser restores after a crash. A draft
// belongs to the revision it grew from: what another window saved meanwhile is never overwritten, and nothing is dropped.
import { word } from "../lib/words.js";

/** Return the memory of one note's form. */
export function noteDraft(form) {
  const key = `note:${form.dataset.url}`;
  const base = form.elements.base_revision;
  const fields = [...form.querySelectorAll("textarea")];
  let apart = {}; // words of a former draft that found another text in their place, by field

  const text = () => Object.fromEntries(fields.map((field) => [field.name, field.value]));

  /** Remember what stands in the form, or forget it; `sent` is what the server has not answered to yet. */
  function keep(isNeeded, sent) {
    const draft = isNeeded ? { base: base.value, note: text(), sent, apart } : Object.keys(apart).length ? { apart } : null;
    try {
      if (draft) sessionStorage.setItem(key, JSON.stringify(draft));
      else sessionStorage.removeItem(key);
    } catch { /* a browser may forbid storage: the autosave remains */ }
  }

  /** Put the draft back. Returns it when it is to be saved; words that have no place any more are shown beside it. */
  function restore() {
    const draft = recall();
    if (!draft) return null;
    const differing = fields.filter((field) => (draft.note?.[field.name] ?? field.value).trim() !== field.value.trim());
    const fits = draft.base === base.value;
    apart = { ...draft.apart };
    for (const field of differing) {
      if (fits) field.value = draft.note[field.name];
      else if (draft.note[field.name].trim()) apart[field.name] = draft.note[field.name];
    }
    fields.filter((field) => apart[field.name]).forEach(showApart);
    const found = fits && differing.length ? draft : null;
    keep(Boolean(found), found?.sent ?? null);
    return found;
  }

  function recall() {
    try { return JSON.parse(sessionStorage.getItem(key)); } catch { return null; }
  }

  function showApart(field) {
    const box = document.createElement("div"), head = document.createElement("strong"), words = document.createElement("p");
    const done = () => { delete apart[field.name]; box.remove(); field.dispatchEvent(new Event("input", { bubbles: true })); };
    box.className = "note-apart";
    head.textContent = word("yours_unsaved");
    words.textContent = apart[field.name];
    const put = () => { field.value = [field.value.trimEnd(), apart[field.name]].filter(Boolean).join("\n"); done(); };
    box.append(head, words, button("put_in", put), button("drop", done));
    field.after(box);
  }

  return { keep, restore, text };
}

function button(name, run) {
  const element = Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: word(name) });
  element.addEventListener("click", run);
  return element;
}
