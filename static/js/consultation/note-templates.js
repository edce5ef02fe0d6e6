// A template fills the empty fields of the note; what the doctor has written is never touched.
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

const form = document.querySelector("[data-note]");

for (const link of document.querySelectorAll("[data-note-template]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const used = Object.entries(JSON.parse(link.dataset.noteTemplate)).filter(([name, text]) => fill(form.elements[name], text));
    say(word(used.length ? "template_used" : "template_nothing"), used.length ? "success" : "warn");
    if (used.length) form.elements[used[0][0]].focus();
  });
}

function fill(field, text) {
  if (!field || field.value.trim()) return false;
  field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  return true;
}
