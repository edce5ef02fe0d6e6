// Measure the line between this page and the media process, and say the result in one sentence.
import { get, newId, post } from "../lib/api.js";
import { checkLine } from "../lib/line-check.js";
import { hasWord, word } from "../lib/words.js";

const button = document.querySelector("[data-line-check]");
const result = document.querySelector("[data-line-result]");
const progress = document.querySelector("[data-line-progress]");

button?.addEventListener("click", async () => {
  button.disabled = true;
  progress.hidden = false;
  result.textContent = word("checking");
  const id = newId();
  try {
    const measured = await checkLine({
      answer: async (sdp) => (await post("/api/v1/line-checks", { check_id: id, sdp })).sdp,
      onProgress: (share) => { progress.value = share; },
    });
    await get(`/api/v1/line-checks/${id}`); // a clerk's result is kept for the branch
    const key = `line_${measured.line_class}`;
    result.textContent = hasWord(key) ? word(key) : measured.line_class;
    result.dataset.lineClass = measured.line_class;
  } catch {
    result.textContent = word("failed");
  } finally {
    button.disabled = false;
    progress.hidden = true;
  }
});
