// Show a new value the moment it is stored: the news carries an id, the value comes over one guarded read.
import { live } from "../lib/live.js";

const box = document.querySelector("[data-values]");
if (box) {
  const line = live();
  const refresh = async () => {
    const answer = await fetch(box.dataset.url, { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok) return;
    const open = [...box.querySelectorAll("details[open]")].map((details) => details.dataset.truth);
    box.innerHTML = await answer.text();
    // What the doctor was reading stays open.
    for (const id of open) box.querySelector(`details[data-truth="${id}"]`)?.setAttribute("open", "");
  };
  line.watch(box.dataset.room);
  line.on("reading:stored", refresh);
  line.on("reading:claimed", refresh);
  line.onGap(refresh);
}
