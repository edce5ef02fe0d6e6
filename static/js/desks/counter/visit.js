// The visit's page: when the rest is over the buttons appear; when the case is queued the call's part is loaded.
import { countdown } from "../../lib/timer.js"; // counts what stands on the page at the start by itself

const renew = () => document.dispatchEvent(new Event("please-renew"));
document.addEventListener("countdown-over", renew);

document.addEventListener("renewed", () => {
  const timer = document.querySelector("[data-countdown]");
  if (timer) countdown(timer, Number(timer.dataset.countdown)).done.then((isOver) => isOver && renew());
  // The call panel stands outside the renewed part: a page that has none yet loads it once, when there is a case.
  if (document.querySelector("[data-case-queued]") && !document.querySelector("[data-call]")) location.reload();
});
