// The morning's third look: the line is measured without a press, and the page goes on by itself when it is done.
import { word } from "../../lib/words.js";

const SHOWN_MS = 1500; // long enough to read the sentence
const box = document.querySelector("[data-morning-line]");
const button = box.querySelector("[data-line-check]"), result = box.querySelector("[data-line-result]");
const goOn = () => setTimeout(() => box.querySelector("form").requestSubmit(), SHOWN_MS);

if (box.hasAttribute("data-morning-fresh")) {
  result.textContent = word("fresh");
  goOn();
} else {
  // line-check.js frees its button when it is done; a class stands there only when the line was measured.
  new MutationObserver(() => !button.disabled && result.dataset.lineClass && goOn()).observe(button, { attributeFilter: ["disabled"] });
  button.click();
}
