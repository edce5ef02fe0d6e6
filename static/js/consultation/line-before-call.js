// Before each talk the line is measured by itself, while the patient waits anyway: nobody presses anything, nobody waits.
// The server says when (data-line-due); a result a few minutes old is good enough, and a talk is never disturbed.
import { checkLine } from "../lib/line-check.js";

const panel = document.querySelector("[data-call]"), start = panel?.querySelector("[data-call-start]");
const talk = new AbortController();
let isTried = false; // one try a page: a line that cannot be measured is found out by the talk itself

async function measure() {
  if (isTried || talk.signal.aborted || !document.querySelector("[data-line-due]")) return;
  isTried = true;
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
