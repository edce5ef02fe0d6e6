// The visit's page: when the rest is over the buttons appear; when the case is queued the call's part is loaded.
import { live } from "../../lib/live.js";
import { isTouched } from "../../lib/renew.js";
import { countdown } from "../../lib/timer.js"; // counts what stands on the page at the start by itself

const renew = () => document.dispatchEvent(new Event("please-renew"));
document.addEventListener("countdown-over", renew);

// Silence of a meter or of the branch PC is no news: the page looks again by itself at the moment it says.
let lookAgain = null;
function planLook() {
  clearTimeout(lookAgain);
  const after = Number(document.querySelector("[data-renew-after]")?.dataset.renewAfter);
  if (after) lookAgain = setTimeout(() => { planLook(); renew(); }, after * 1000);
}
planLook();

// Only this screen knows that the server is out of reach; a blink of the line is not worth a word.
const OFFLINE_WORTH_SAYING_MS = 4000;
let offline = null;
live().onConnection((isConnected) => {
  clearTimeout(offline);
  const tell = (isOffline) => document.querySelectorAll("[data-server-offline]").forEach((line) => { line.hidden = !isOffline; });
  if (isConnected) tell(false);
  else offline = setTimeout(() => tell(true), OFFLINE_WORTH_SAYING_MS);
});
document.addEventListener("click", (event) => event.target.closest("[data-reload]") && location.reload());

// The red card's way to the doctor starts the talk too, wherever on the page it stands.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-to-call]")) document.querySelector("[data-call-start]:not([hidden])")?.click();
});

document.addEventListener("renewed", () => {
  planLook();
  const timer = document.querySelector("[data-countdown]");
  if (timer) countdown(timer, Number(timer.dataset.countdown)).done.then((isOver) => isOver && renew());
  // The call panel stands outside the renewed part: a page that has none yet loads it once, when there is a case.
  if (document.querySelector("[data-case-queued]") && !document.querySelector("[data-call]") && !isTouched(document.body)) location.reload();
});
