// Measure the line between this page and the media process, and say the result in one sentence.
import { checkLine } from "../lib/line-check.js";
import { hasWord, word } from "../lib/words.js";

const button = document.querySelector("[data-line-check]");
const result = document.querySelector("[data-line-result]");
const progress = document.querySelector("[data-line-progress]");

button?.addEventListener("click", async () => {
  button.disabled = true;
  progress.hidden = false;
  result.textContent = word("checking");
  try {
    const measured = await checkLine({ onProgress: (share) => { progress.value = share; } });
    const key = `line_${measured.line_class}`;
    result.textContent = hasWord(key) ? word(key) : measured.line_class;
    if (measured.is_rough) result.textContent += ` ${word("rough")}`;
    result.dataset.lineClass = measured.line_class;
  } catch {
    result.textContent = word("failed");
  } finally {
    button.disabled = false;
    progress.hidden = true;
  }
});
