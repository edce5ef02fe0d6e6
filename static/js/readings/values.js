// Show a new value the moment it is stored: the news carries an id, the value comes over one guarded read.
import { live } from "../lib/live.js";

const box = document.querySelector("[data-values]");
if (box) {
  const line = live();
  const refresh = async () => {
    const answer = await fetch(box.dataset.url, { credentials: "same-origin" }).catch(() => null);
    if (answer?.ok) box.innerHTML = await answer.text();
  };
  line.watch(box.dataset.room);
  line.on("reading:stored", refresh);
  line.on("reading:claimed", refresh);
  line.onGap(refresh);
}
