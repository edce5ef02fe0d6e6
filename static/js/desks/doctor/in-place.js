// Nothing that a doctor does in the middle of a talk loads the page: forms are sent from where they stand, and what has
// changed is exchanged part by part (data-in-place="<name>"). A refusal is shown here. Only a deed that ends the talk
// leads away. Without this script the same forms lead to the same pages.
import { say } from "../../lib/notice.js";
import { word } from "../../lib/words.js";

const desk = document.querySelector("[data-case]");
const HEADERS = { "X-In-Place": "yes", Accept: "text/html" };

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.getAttribute("method") !== "post" || !desk.contains(form)) return;
  event.preventDefault();
  send(form, event.submitter);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-in-place-link]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  ask(link.href, {}, link);
});

function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form));
  if (submitter?.name) body.append(submitter.name, submitter.value);
  return ask(form.getAttribute("action"), { method: "POST", body }, form);
}

/** Do what the form or link asks, and show here what came of it. */
async function ask(url, options, cause) {
  const answer = await fetch(url, { ...options, headers: HEADERS, credentials: "same-origin" }).catch(() => null);
  release(cause);
  if (!answer) return say(word("code:offline"), "error");
  if (!answer.headers.get("Content-Type")?.includes("json")) return show(await page(answer), cause, { isRefused: !answer.ok });
  const place = new URL((await answer.json()).location, location.href);
  if (place.pathname !== location.pathname) return lead(place, cause);
  const there = await fetch(place, { headers: HEADERS, credentials: "same-origin" }).catch(() => null);
  if (!there?.ok) return say(word("code:offline"), "error");
  show(await page(there), cause, { hash: place.hash });
}

const page = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

/** Leave the page: the talk is over, or the session, which the page may be loaded anew for. */
function lead(place, cause) {
  if (place.pathname.startsWith("/sign-in")) return signedOut();
  cause.dispatchEvent(new CustomEvent("in-place-done", { bubbles: true }));
  location.assign(place);
}

const signedOut = () => say(word("code:sign_in_needed"), "error", { text: word("sign_in_again"), run: () => location.reload() });

function show(news, cause, { hash = "", isRefused = false }) {
  if (!news.querySelector("[data-in-place]")) return refuse(news);
  if (news.querySelector("[data-case].over") && !desk.matches(".over")) return location.reload(); // it ended in another window
  if (!isRefused) cause.dispatchEvent(new CustomEvent("in-place-done", { bubbles: true }));
  const own = cause.closest("[data-in-place]"), changed = [...desk.querySelectorAll("[data-in-place]")].filter((part) => part === own || !part.querySelector("form"));
  const fresh = changed.map((part) => exchange(part, news, cause, isRefused)).filter(Boolean);
  desk.dispatchEvent(new CustomEvent("case-news", { detail: { news, hash } }));
  tell(news);
  focus(fresh, hash, own);
}

// A page that shows none of ours is an error, or the way to sign in: its heading says which.
function refuse(news) {
  const text = news.querySelector("main h1")?.textContent.trim();
  say(text || word("code:server_error"), "error");
}

/** Put the fresh part in the place of the old one; what was typed into its other forms comes back. */
function exchange(part, news, cause, isRefused) {
  const fresh = news.querySelector(`[data-in-place="${part.dataset.inPlace}"]`);
  if (!fresh) return null;
  const typed = [...part.querySelectorAll("form")].filter((form) => form !== cause).map(typedInto).filter(Boolean);
  const opened = new Set([...part.querySelectorAll("details[open]")].map((details) => details.id).filter(Boolean));
  const isWritten = cause.closest?.("details")?.id; // the form that was sent and taken is folded again
  const put = document.importNode(fresh, true);
  part.replaceWith(put);
  for (const id of opened) if (isRefused || id !== isWritten) put.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  typed.forEach((one) => retype(put, one));
  put.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  return put;
}

const fieldsOf = (form) => [...form.elements].filter(({ name, type }) => name && !["hidden", "submit", "button", "file"].includes(type));
const isChosen = ({ type }) => ["radio", "checkbox"].includes(type);

function typedInto(form) {
  const fields = fieldsOf(form);
  const isTyped = fields.some((field) => (isChosen(field) ? field.checked !== field.defaultChecked
    : field.options ? [...field.options].some((option) => option.selected !== option.defaultSelected && option.value)
      : field.value !== field.defaultValue));
  return isTyped && { action: form.getAttribute("action"), values: fields.map(({ name, value, checked }) => [name, value, checked]) };
}

function retype(part, { action, values }) {
  const forms = [...part.querySelectorAll("form")];
  const form = forms.find((one) => one.getAttribute("action") === action);
  const fields = form ? fieldsOf(form) : [];
  values.forEach(([name, value, checked], at) => {
    const field = fields[at];
    if (field?.name !== name) return;
    if (isChosen(field)) field.checked = checked;
    else field.value = value;
  });
  form?.closest("details")?.setAttribute("open", "");
}

// What the server says takes the place of what it said before.
function tell(news) {
  const notices = document.getElementById("notices");
  notices.querySelectorAll("[data-told]").forEach((old) => old.remove());
  for (const notice of news.querySelectorAll("#notices > .notice")) {
    const told = document.importNode(notice, true);
    told.dataset.told = "";
    notices.append(told);
  }
}

function focus(parts, hash, own) {
  const wrong = parts.map((part) => part.querySelector("[data-focus]")).find(Boolean);
  const named = hash && document.getElementById(hash.slice(1));
  const place = wrong ?? named ?? (document.activeElement === document.body && own ? parts.find((part) => part.dataset.inPlace === own.dataset.inPlace) : null);
  if (!place) return;
  if (place.tabIndex < 0) place.tabIndex = -1;
  place.focus();
  place.scrollIntoView({ block: "nearest" });
}

// forms.js holds a form back while it is being sent.
function release(cause) {
  delete cause.dataset.sending;
  cause.querySelectorAll?.("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
}
