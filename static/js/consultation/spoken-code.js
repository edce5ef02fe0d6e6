// The five digits that both people compare by voice: nobody in between listens.
import { live } from "../lib/live.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

const box = document.querySelector("[data-call]");
const part = (name) => box.querySelector(`[data-code-${name}]`);
const compared = new Set(); // the far end's fingerprints that this person found the same
let call = null, theirs = null;

if (box) {
  box.addEventListener("call-begun", ({ detail }) => { call = detail.call; });
  box.addEventListener("call-code", ({ detail }) => show(detail));
  box.addEventListener("call-over", () => { part("ask").hidden = part("done").hidden = true; }); // nothing to compare any more
  part("same").addEventListener("click", () => settle(true));
  part("differs").addEventListener("click", () => settle(false));
}

function show({ state, digits, theirs: print }) {
  theirs = print;
  box.dataset.code = digits || state;
  if (state === "broken") return alarm();
  const isNew = state === "ready" && !compared.has(print);
  part("ask").hidden = !isNew;
  part("done").hidden = !(state === "ready" && !isNew);
  part("digits").textContent = [...digits].join(" ");
}

function settle(isSame) {
  if (!isSame) return alarm();
  compared.add(theirs);
  part("ask").hidden = true;
  part("done").hidden = false;
  note("code_same");
}

/** Somebody may sit in the middle: no word more over this connection. */
function alarm() {
  part("ask").hidden = part("done").hidden = true;
  say(word("code_differs"), "error");
  note("code_differs");
  call?.setStep("telephone", box.dataset.callRole);
}

const note = (kind) => live().ask("call:step", { call_id: box.dataset.call, kind }).catch(() => {});
