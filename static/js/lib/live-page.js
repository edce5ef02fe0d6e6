// Renew parts of a page when news arrives: the page is fetched again and only the marked parts are exchanged, so that
// nothing typed elsewhere is lost. <div data-live-page="branch:<id>" data-live-events="day:changed visit:changed" id="...">
import { live } from "./live.js";

const parts = [...document.querySelectorAll("[data-live-page]")];
let pending = null;

async function refresh() {
  if (pending) return;
  pending = fetch(location.href, { credentials: "same-origin" }).catch(() => null);
  const answer = await pending;
  pending = null;
  if (!answer?.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const news = [...fresh.querySelectorAll("[data-live-page]")];
  parts.forEach((part, number) => {
    const next = news[number];
    if (!next || part.innerHTML === next.innerHTML) return;
    if (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select")) return;
    const opened = new Set([...part.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent));
    part.innerHTML = next.innerHTML;
    part.querySelectorAll("details > summary").forEach((summary) => { summary.parentElement.open ||= opened.has(summary.textContent); });
    part.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  });
}

const line = live();
for (const part of parts) {
  line.watch(part.dataset.livePage);
  for (const name of (part.dataset.liveEvents ?? "").split(" ").filter(Boolean)) line.on(name, refresh);
}
line.onGap(refresh);
document.addEventListener("please-renew", refresh);
