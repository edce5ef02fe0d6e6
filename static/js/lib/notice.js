// Short messages that a screen reader speaks too. Errors stay until they are closed.

import { word } from "./words.js";

const STAYS_MS = 8_000;

/** Show `text`; kind is one of telemed/web/notices.py. `action` = {text, run}, or a list of them, adds buttons. Returns the function that removes it. */
export function say(text, kind = "info", action = null) {
  const line = document.createElement("p");
  line.className = `notice ${kind}`;
  if (kind === "error") line.setAttribute("role", "alert");
  const words = document.createElement("span");
  words.textContent = text;
  line.append(words);
  const remove = () => line.remove();
  for (const { text: name, run } of [action ?? []].flat()) line.append(button(name, () => { remove(); run(); }));
  if (action || kind === "error") line.append(button(word("close"), remove));
  else setTimeout(remove, STAYS_MS);
  document.getElementById("notices").append(line);
  return remove;
}

function button(text, run) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "quiet";
  element.textContent = text;
  element.addEventListener("click", run);
  return element;
}
