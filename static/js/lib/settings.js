// Type size and colours act at once; the form behind them tells the server, so that the next page comes right.

const root = document.documentElement;
const ATTRIBUTES = { type_size: "typeSize", theme: "theme" };
const PLAIN = { type_size: "normal", theme: "auto" };

for (const [setting, attribute] of Object.entries(ATTRIBUTES)) {
  // The server knows people who are signed in; this browser's memory serves everybody else.
  if (!root.dataset[attribute]) apply(setting, recall(setting) ?? PLAIN[setting]);
}
for (const group of document.querySelectorAll("[data-setting]")) group.addEventListener("click", choose);

function choose(event) {
  const button = event.target.closest("button");
  if (!button) return;
  event.preventDefault();
  apply(button.name, button.value);
  remember(button.name, button.value);
  const body = new FormData(button.form);
  body.set(button.name, button.value);
  fetch(button.form.action, { method: "POST", body, redirect: "manual", keepalive: true }).catch(() => {});
}

function apply(setting, value) {
  const attribute = ATTRIBUTES[setting];
  if (value === PLAIN[setting]) delete root.dataset[attribute];
  else root.dataset[attribute] = value;
  for (const button of document.querySelectorAll(`[data-setting="${setting}"] button`)) {
    button.toggleAttribute("aria-pressed", button.value === value);
    if (button.value === value) button.setAttribute("aria-pressed", "true");
  }
}

// A browser may forbid storage; the settings then last for one page, or for the session through the server.
function recall(setting) {
  try { return localStorage.getItem(`view:${setting}`); } catch { return null; }
}

function remember(setting, value) {
  try { localStorage.setItem(`view:${setting}`, value); } catch { /* see recall */ }
}
