// The keyboard map of the doctor's pages. Single keys act only outside of fields, and can be switched off.
const MEMORY = "doctor:keys";
const map = document.getElementById("keys");
const opener = document.querySelector("[data-keys-open]");
const toggle = map.querySelector("[data-keys-switch]");
const TARGETS = {
  1: "#note-complaint", 2: "#note-findings", 3: "#note-assessment", 4: "#note-plan",
  v: "#values-title", r: "#write > summary", o: "#outcome", q: "#queue button, #queue a", w: "#chat-text", n: "[data-next-patient]",
};
const BUTTONS = { m: "[data-call-mic]", p: "[data-call-camera]" };
// A Russian keyboard gives Cyrillic letters for the same keys.
const CYRILLIC = { м: "v", к: "r", щ: "o", й: "q", ц: "w", ў: "o", ь: "m", з: "p", т: "n" };
let isOn = recall() !== "off";

opener.hidden = false;
opener.addEventListener("click", show);
toggle.addEventListener("click", () => { isOn = !isOn; remember(isOn ? "on" : "off"); label(); });
label();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") return leave(event.target);
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "?" || (event.key === "," && event.shiftKey)) return show();
  if (isOn && press(event.key.toLowerCase())) event.preventDefault();
});

function press(typed) {
  const key = CYRILLIC[typed] ?? typed;
  if (key in BUTTONS) {
    const button = placeOf(key);
    if (button && !button.hidden) button.click();
    return Boolean(button);
  }
  const target = placeOf(key);
  if (!target) return false;
  target.closest("details")?.setAttribute("open", ""); // a field or a title inside is of no use while it is shut
  if (target.matches("h1, h2, h3")) target.tabIndex = -1;
  target.focus();
  target.scrollIntoView({ block: "nearest" });
  return true;
}

function placeOf(key) {
  return document.querySelector(TARGETS[key] ?? BUTTONS[key] ?? null);
}

function show() {
  map.hidden = !map.hidden;
  map.querySelectorAll("[data-key]").forEach((row) => { row.hidden = !placeOf(row.dataset.key); }); // not on every page
  opener.setAttribute("aria-expanded", String(!map.hidden));
  if (!map.hidden) map.scrollIntoView({ block: "nearest" });
}

/** Out of the map first, which lies beside what is being written; then out of the field. */
function leave(field) {
  if (!map.hidden) return show();
  field.blur?.();
}

function label() {
  toggle.textContent = isOn ? toggle.dataset.on : toggle.dataset.off;
}

// A browser may forbid storage; the choice then lasts for one page.
function recall() {
  try { return localStorage.getItem(MEMORY); } catch { return null; }
}

function remember(value) {
  try { localStorage.setItem(MEMORY, value); } catch { /* see recall */ }
}
