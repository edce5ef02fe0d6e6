// Show a new value, or an answer that was corrected, the moment it is stored: the news carries an id, the words come over
// one guarded read. Each box names its address and the news that it listens to.
import { live } from "../lib/live.js";
import { page, reader, renew } from "../lib/renew.js";

const line = live();
document.querySelectorAll("[data-values]").forEach((box) => {
  const refresh = reader(async () => {
    const text = await page(box.dataset.url);
    if (!text) return text !== null;
    renew(box, new DOMParser().parseFromString(text, "text/html").body); // what the doctor was reading stays open
  });
  line.watch(box.dataset.room);
  for (const name of box.dataset.news.split(" ")) line.on(name, refresh);
  line.onGap(refresh);
});
