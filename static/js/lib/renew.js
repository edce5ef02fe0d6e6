// Show the newest state of a part of a page: read until it is there, never an older answer after a newer one, and never
// touch a field in which the cursor stands or into which somebody typed.

const RETRY_MS = 3_000;
const FIELD = "input, textarea, select";

/** Return a way to ask for `read()`, which gives false when it could not read: it runs again after news that came
 * meanwhile, and after a pause until it succeeds. */
export function reader(read) {
  let isReading = false, isStale = false, timer = null;
  return async function again() {
    isStale = true;
    if (isReading) return;
    isReading = true;
    clearTimeout(timer);
    let isShown = true;
    while (isStale) {
      isStale = false;
      isShown = (await read().catch(() => false)) !== false;
    }
    isReading = false;
    if (!isShown) timer = setTimeout(again, RETRY_MS);
  };
}

/** Fetch a page of ours. Gives null when it is to be tried again; `undefined` when it is not for this reader any more. */
export async function page(address) {
  const answer = await fetch(address, { credentials: "same-origin" }).catch(() => null);
  if (!answer || answer.status >= 500) return null;
  return answer.ok && !answer.redirected ? answer.text() : undefined;
}

/** Give `old` what stands in `fresh`, an element of the same kind that is not in the page. */
export function renew(old, fresh) {
  const opened = new Set([...old.querySelectorAll("details[open]")].map(nameOf));
  exchange(old, fresh);
  for (const details of old.querySelectorAll("details")) details.open ||= opened.has(nameOf(details));
}

/** Tell whether somebody is at work in a field of `part`. */
export const isTouched = (part) => [...part.querySelectorAll(FIELD)].some(isHeld);

/** Return the fields of `part` that hold something else than the page brought. */
export const changedFields = (part) => [...part.querySelectorAll(FIELD)].filter(isChanged);

function exchange(old, fresh) {
  const held = [...old.children].filter((child) => child.matches(FIELD) ? isHeld(child) : isTouched(child));
  for (const child of [...old.childNodes]) if (!held.includes(child)) child.remove();
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = held.find((one) => isSame(one, child));
    if (!same) { old.insertBefore(child, place); continue; }
    held.splice(held.indexOf(same), 1);
    place = same.nextSibling;
    if (same.matches(FIELD)) continue;
    for (const { name, value } of child.attributes) same.setAttribute(name, value);
    exchange(same, child);
  }
}

const nameOf = (details) => details.dataset.truth ?? details.querySelector("summary")?.textContent;
const mark = (element) => [element.nodeName, element.id, element.getAttribute?.("action"), element.getAttribute?.("name")].join(" ");
const isSame = (one, other) => mark(one) === mark(other);

function isHeld(field) {
  return field.type !== "hidden" && (field === document.activeElement || isChanged(field));
}

function isChanged(field) {
  if (["hidden", "submit", "button"].includes(field.type)) return false;
  if (["radio", "checkbox"].includes(field.type)) return field.checked !== field.defaultChecked;
  if (field.nodeName === "SELECT") return field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected));
  return field.value !== field.defaultValue;
}
