// Before each talk the line is measured by itself, while the patient waits anyway: nobody presses anything, nobody waits.
// The server says when (data-line-due); a result a few minutes old is good enough, and a talk that runs is never disturbed.

const button = document.querySelector("[data-line-check]"), result = document.querySelector("[data-line-result]");
const panel = document.querySelector("[data-call]");
let isOver = false; // one try a page: a line that cannot be measured is found out by the talk itself

function measure() {
  if (isOver || !button || !document.querySelector("[data-line-due]")) return;
  isOver = true;
  button.click();
}

// line-check.js frees its button when it is done; a class stands there only when the line was measured.
if (button) new MutationObserver(() => !button.disabled && tellTalk()).observe(button, { attributeFilter: ["disabled"] });

/** A talk that begins later starts at the step of the ladder that this line carries. */
function tellTalk() {
  if (panel && result.dataset.lineClass) panel.dataset.callLine = result.dataset.lineClass;
}

panel?.addEventListener("call-begun", () => { isOver = true; });
document.addEventListener("renewed", measure);
// A talk that goes on after a reload has pressed its own button by now.
if (!panel?.querySelector("[data-call-start]")?.disabled) measure();
