// Show a new value the moment it is stored: the news carries an id, the value comes over one guarded read.
import { live } from "../lib/live.js";
import { page, reader, renew } from "../lib/renew.js";

const box = document.querySelector("[data-values]");
if (box) {
  const line = live();
  const refresh = reader(async () => {
    const text = await page(box.dataset.url);
    if (!text) return text !== null;
    renew(box, new DOMParser().parseFromString(text, "text/html").body); // what the doctor was reading stays open
  });
  line.watch(box.dataset.room);
  line.on("reading:stored", refresh);
  line.on("reading:claimed", refresh);
  line.onGap(refresh);
}
