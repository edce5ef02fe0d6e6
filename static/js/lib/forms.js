// What every form gains: nothing is sent twice, a refused form takes the focus, unsent words come back.

const DRAFT_LIVES_MS = 15 * 60_000; // longer, and the next patient could find the last one's words
const UNLOCK_MS = 8_000; // a download or a cancelled request never leaves this page
const SENT = "draft-sent";

document.querySelectorAll("form[data-draft]").forEach((form) => keepDraft(form));
document.addEventListener("renewed", ({ target }) => target.querySelectorAll("form[data-draft]").forEach((form) => keepDraft(form, true)));
document.addEventListener("submit", guardSecondSend);
addEventListener("pageshow", (event) => event.persisted && [...document.forms].forEach(unlock));
document.querySelector("[data-focus]")?.focus();
document.addEventListener("click", focusGroup);
dropSentDraft();

function guardSecondSend(event) {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.sending) return event.preventDefault();
  form.dataset.sending = "yes";
  if (form.dataset.forget !== undefined) sessionStorage.clear(); // signing out
  form.querySelectorAll("button:not([type=button])").forEach((button) => button.setAttribute("aria-busy", "true"));
  setTimeout(() => unlock(form), UNLOCK_MS);
}

function unlock(form) {
  delete form.dataset.sending;
  form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
}

// A link of the error summary may point to a group of choices, which cannot take the focus itself.
function focusGroup(event) {
  const id = event.target.closest?.(".error-summary a")?.hash.slice(1);
  const group = id && document.getElementById(id);
  if (group?.matches("fieldset")) setTimeout(() => group.querySelector("input, select, textarea")?.focus());
}

// Drafts live in this tab only and go with it. The server's own words win where a refused form came back.
function keepDraft(form, isRenewed = false) {
  const key = `draft:${location.pathname}:${form.dataset.draft}`;
  if (!isRenewed && !document.querySelector(".error-summary")) offerDraft(form, key);
  form.addEventListener("input", () => sessionStorage.setItem(key, JSON.stringify({ at: Date.now(), values: valuesOf(form) })));
  form.addEventListener("submit", () => sessionStorage.setItem(SENT, key));
  form.addEventListener("in-place-done", () => [key, SENT].forEach((name) => sessionStorage.removeItem(name)));
}

function kept(form) {
  return [...form.elements].filter(
    (field) => field.name && !["hidden", "password", "file", "submit", "button"].includes(field.type) && field.dataset.noDraft === undefined);
}

function valuesOf(form) {
  return kept(form).map((field) => [field.name, field.value, field.checked]);
}

async function offerDraft(form, key) {
  const draft = JSON.parse(sessionStorage.getItem(key) ?? "null");
  if (!draft || wasSent(key)) return;
  if (Date.now() - draft.at > DRAFT_LIVES_MS) return sessionStorage.removeItem(key);
  fill(form, draft.values);
  const [{ say }, { word }] = await Promise.all([import("./notice.js"), import("./words.js")]);
  const startEmpty = () => { form.reset(); sessionStorage.removeItem(key); };
  say(word("draft_restored"), "info", { text: word("start_empty"), run: startEmpty });
}

function fill(form, values) {
  const fields = kept(form);
  values.forEach(([name, value, checked], index) => {
    const field = fields[index];
    if (field?.name !== name) return; // the form has changed since
    if (["radio", "checkbox"].includes(field.type)) field.checked = checked;
    else field.value = value;
  });
}

// A sent draft is dropped on the next page; after "back" or "reload" it may be that nothing has arrived.
function wasSent(key) {
  const [visit] = performance.getEntriesByType("navigation");
  return sessionStorage.getItem(SENT) === key && visit?.type === "navigate";
}

function dropSentDraft() {
  const key = sessionStorage.getItem(SENT);
  if (key && wasSent(key) && !document.querySelector(".error-summary, [data-error-page]")) sessionStorage.removeItem(key);
  sessionStorage.removeItem(SENT);
}
