// Keep the doctor's queue fresh: news says only that something changed, the list is fetched whole.
import { live } from "../../lib/live.js";
import { page, reader } from "../../lib/renew.js";
import { say } from "../../lib/notice.js";
import { tone, watchSound } from "../../lib/sound.js";
import { word } from "../../lib/words.js";

const list = document.querySelector("[data-queue]");
const line = live();
const silent = document.querySelector("[data-ring-silent]");
let known = urgent();

const refresh = reader(async () => {
  const text = await page(list.dataset.url);
  if (!text) return text !== null;
  list.innerHTML = text;
  const now = urgent();
  if ([...now].some((id) => !known.has(id))) ring();
  known = now;
});

function ring() {
  say(word("ring"), "error");
  tone();
}

/** The cases that go before all others: red ones, and those that a corner called at once. */
function urgent() {
  return new Set([...document.querySelectorAll('[data-queue] :is([data-level="RED"], [data-alarm]:not([data-stored])) form')].map((form) => form.action));
}

watchSound((canSound) => { if (silent) silent.hidden = canSound; });
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
