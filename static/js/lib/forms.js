// What every form gains: nothing is sent twice, a refused form takes the focus, unsent words are kept (drafts.js), and
// who comes to this browser next finds nothing of the one before.

const UNLOCK_MS = 8_000; // a download or a cancelled request never leaves this page
const PERSON = "person", LEFT = "left";
const others = "BroadcastChannel" in window ? new BroadcastChannel("telemed:person") : null;

keepPersonsApart();
if (document.querySelector("form input[name=draft]")) import("./drafts.js");
document.addEventListener("submit", guardSecondSend);
addEventListener("pageshow", (event) => event.persisted && [...document.forms].forEach(unlock));
document.querySelector("[data-focus]")?.focus();
document.addEventListener("click", focusGroup);

function guardSecondSend(event) {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.sending) return event.preventDefault();
  form.dataset.sending = "yes";
  if (form.dataset.forget !== undefined) leave(); // signing out
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

// After a sign-out, another sign-in or a shown card, here or in another window: this window's memory is emptied, and a
// page of the one before is loaded anew, which shows the sign-in or the next person's own. A session that only ended
// by itself empties nothing: the same person comes back to it.
function keepPersonsApart() {
  const person = document.body.dataset.person;
  if (!person && recall(LEFT)) { forget(); others?.postMessage("nobody"); } // only now the server knows it too
  if (person && recall(PERSON) !== person) { forget(); remember(PERSON, person); }
  if (!person || !others) return;
  others.addEventListener("message", ({ data }) => {
    if (data === person) return;
    forget();
    location.reload();
  });
  others.postMessage(person);
}

function leave() {
  forget();
  remember(LEFT, "yes");
}

// A browser may forbid storage: then there is nothing to empty either.
function forget() {
  try { sessionStorage.clear(); } catch { /* see above */ }
}

function recall(name) {
  try { return sessionStorage.getItem(name); } catch { return null; }
}

function remember(name, value) {
  try { sessionStorage.setItem(name, value); } catch { /* see above */ }
}
