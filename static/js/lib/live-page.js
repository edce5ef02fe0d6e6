// Renew parts of a page when news arrives: the page is fetched again and only the marked parts are exchanged, so that
// nothing typed is lost. <div data-live-page="branch:<id>" data-live-events="day:changed visit:changed" id="...">
import { live } from "./live.js";
import { page, reader, renew } from "./renew.js";

const parts = [...document.querySelectorAll("[data-live-page]")];

const refresh = reader(async () => {
  const text = await page(location.href);
  if (!text) return text !== null;
  const news = [...new DOMParser().parseFromString(text, "text/html").querySelectorAll("[data-live-page]")];
  parts.forEach((part, number) => {
    if (!news[number] || part.innerHTML === news[number].innerHTML) return;
    renew(part, news[number]);
    part.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  });
});

const line = live();
for (const part of parts) {
  line.watch(part.dataset.livePage);
  for (const name of (part.dataset.liveEvents ?? "").split(" ").filter(Boolean)) line.on(name, refresh);
}
line.onGap(refresh);
document.addEventListener("please-renew", refresh);
