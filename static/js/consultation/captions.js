// For weak ears: typed words shown large on both screens, and the wish to hear it again.
import { live } from "../lib/live.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

const SHOWN_MS = 60_000, WISH_MS = 10_000; // a wish must not cover the face for long
const box = document.querySelector("[data-call]");
if (box) {
  const line = live();
  const shown = box.querySelector("[data-caption]");
  const form = box.querySelector("[data-caption-form]");
  const ask = (name, document) => line.ask(name, { call_id: box.dataset.call, ...document });
  let timer = null;

  function show(text, forMs = SHOWN_MS) {
    clearTimeout(timer);
    shown.textContent = text;
    shown.hidden = !text;
    timer = setTimeout(() => { shown.hidden = true; }, forMs);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = form.elements.caption.value.trim();
    if (!text) return;
    show(text); // the patient reads it here even when the line is away
    form.reset();
    form.elements.caption.focus();
    await ask("call:caption", { text }).catch(() => {});
  });

  box.querySelector("[data-call-again]").addEventListener("click", async () => {
    const answer = await ask("call:step", { kind: "say_again" }).catch(() => null);
    say(word(answer?.reached ? "again_asked" : "not_reached"), answer?.reached ? "success" : "error");
  });

  line.on("call:caption", ({ call_id: id, text }) => id === box.dataset.call && show(text));
  line.on("call:step", ({ call_id: id, kind }) => id === box.dataset.call && kind === "say_again" && show(word("again"), WISH_MS));
}
