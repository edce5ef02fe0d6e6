// One yes among the red flags acts at once: the card first, by this page alone, then the server, again and again until it
// has stored the answers. The form stays open, so that the other questions can go on.

const WAIT_MS = 8_000;
const form = document.querySelector("[data-red-form]"), card = document.querySelector("[data-card-at-once]");
let isSending = false, hasMore = false, looking = null;

form.querySelectorAll("[data-at-once]").forEach((button) => { button.hidden = true; });
form.addEventListener("change", ({ target }) => {
  if (target.value === "yes" && target.closest("[data-red-flag]")) raise();
});

function raise() {
  card.hidden = false;
  card.scrollIntoView();
  card.focus({ preventScroll: true });
  send();
}

async function send() {
  hasMore = true;
  if (isSending) return;
  isSending = true;
  while (hasMore) {
    hasMore = false;
    const told = await post();
    if (told) show(told);
    else {
      hasMore = true;
      await new Promise((resolve) => { setTimeout(resolve, Number(card.dataset.againS) * 1000); });
    }
  }
  isSending = false;
}

/** Send the form as it is now; return the card of the page that it leads to, or null when nothing was stored. */
async function post() {
  const body = new URLSearchParams(new FormData(form));
  body.delete("draft"); // the form goes on: its words are kept until it is sent whole
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" }, credentials: "same-origin", signal: AbortSignal.timeout(WAIT_MS) }).catch(() => null);
  if (!answer?.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("[data-emergency]");
}

function show(told) {
  card.innerHTML = told.innerHTML;
  looking ??= setInterval(look, Number(card.dataset.againS) * 1000);
}

/** What is so about the doctor changes: the card is looked at again as long as it stands here. */
async function look() {
  const answer = await fetch(card.dataset.look, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok || isSending) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-emergency]");
  if (fresh && !card.querySelector(":focus")) card.innerHTML = fresh.innerHTML;
}
