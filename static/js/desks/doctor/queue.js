// Keep the doctor's queue fresh: news says only that something changed, the list is fetched whole.
import { live } from "../../lib/live.js";
import { say } from "../../lib/notice.js";
import { word } from "../../lib/words.js";

const list = document.querySelector("[data-queue]");
const line = live();
let redKnown = reds();

async function refresh() {
  const answer = await fetch(list.dataset.url, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) return;
  list.innerHTML = await answer.text();
  const now = reds();
  if ([...now].some((id) => !redKnown.has(id))) say(word("red"), "error");
  redKnown = now;
}

function reds() {
  return new Set([...document.querySelectorAll('[data-queue] :is([data-level="RED"], [data-alarm]:not([data-stored])) form')].map((form) => form.action));
}

line.watch(list.dataset.room);
line.on("queue:changed", refresh);
line.onGap(refresh);
setInterval(refresh, 60_000); // waiting times grow also without news
const badge = document.querySelector("main > .row .badge");
if (badge) {
  line.onConnection((isConnected) => {
    badge.textContent = word(isConnected ? "live" : "offline");
    badge.className = `badge ${isConnected ? "ok" : "warn"}`;
  });
}
