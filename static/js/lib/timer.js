// Seconds that run down, shown as text. Counts against a clock that does not jump, and survives a sleeping tab.

/** Show `seconds` running down in `element`. Returns {done: Promise, stop()}; done gives true at zero, false when stopped. */
export function countdown(element, seconds) {
  const endsAt = performance.now() + seconds * 1000;
  const target = element.querySelector("[data-countdown-text]") ?? element;
  let finish;
  const done = new Promise((resolve) => { finish = resolve; });
  const show = () => {
    const left = Math.max(0, Math.ceil((endsAt - performance.now()) / 1000));
    target.textContent = asText(left);
    if (left === 0) stop(true);
  };
  const ticker = setInterval(show, 250);
  function stop(isOver = false) {
    clearInterval(ticker);
    finish(isOver);
  }
  show();
  return { done, stop: () => stop(false) };
}

/** Return 75 as "1:15", 9 as "9". */
export const asText = (seconds) => (seconds < 60 ? String(seconds) : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);

for (const element of document.querySelectorAll("[data-countdown]")) {
  countdown(element, Number(element.dataset.countdown)).done.then((isOver) => {
    if (isOver) element.dispatchEvent(new CustomEvent("countdown-over", { bubbles: true }));
  });
}
