// Before each talk the line is measured by itself, while the patient waits anyway: nobody presses anything, nobody waits.
// The server says when (data-line-due); a result a few minutes old is good enough, and a talk is never disturbed.
import { checkLine } from "../lib/line-check.js";

const panel = document.querySelector("[data-call]"), start = panel?.querySelector("[data-call-start]");
const talk = new AbortController();
const UNTOUCHED_MOST_MS = 10_000;
let isTried = false; // one try a page: a line that cannot be measured is found out by the talk itself

// A page that nobody has touched may make no sound, not even the silence whose packets are counted on the way up.
const touched = () => new Promise((resolve) => {
  if (navigator.userActivation?.hasBeenActive ?? true) return resolve();
  for (const sign of ["pointerdown", "keydown"]) addEventListener(sign, resolve, { once: true });
  setTimeout(resolve, UNTOUCHED_MOST_MS); // then without: that way's loss stays unknown, the rest is told
});

async function measure() {
  if (isTried || talk.signal.aborted || !document.querySelector("[data-line-due]")) return;
  isTried = true;
  await touched();
  if (talk.signal.aborted) return;
  try {
    const measured = await checkLine({ signal: talk.signal }); // kept for the branch
    if (panel) panel.dataset.callLine = measured.line_class; // the talk starts at the step that this line carries
    document.querySelector("[data-line-due]")?.remove();
  } catch {
    // No line, or a talk that began: nothing that a clerk could do about it now.
  }
}

start?.addEventListener("click", () => talk.abort());
panel?.addEventListener("call-begun", () => talk.abort());
document.addEventListener("renewed", measure);
// A talk that goes on after a reload has pressed its own button by now.
if (!start?.disabled) measure();
