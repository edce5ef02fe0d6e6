// The doctor asks a patient in: seen and heard on every page of the counter, whatever the clerk is doing there.
import { live } from "../../lib/live.js";
import { say } from "../../lib/notice.js";
import { tone } from "../../lib/sound.js";
import { word } from "../../lib/words.js";

const AGAIN_MS = 4000, TIMES = 8;
const { rings: branch, visits } = document.querySelector("[data-rings]").dataset;
const panel = document.querySelector("[data-call]"), title = document.title;
let asked = null; // {visit, stop()}

const line = live();
line.watch(`branch:${branch}`);
line.on("call:asked_in", ({ visit_id: visit }) => ring(visit));
line.on("call:asked_over", ({ visit_id: visit }) => asked?.visit === visit && asked.stop());
panel?.addEventListener("call-begun", () => asked?.stop());
document.addEventListener("renewed", look);
look();

/** The page itself may say so already, e.g. when it was opened only now. */
function look() {
  const shown = document.querySelector("[data-asked-in]");
  if (shown && asked?.visit !== shown.dataset.askedIn) ring(shown.dataset.askedIn);
}

function ring(visit) {
  const isHere = Boolean(panel) && location.pathname.endsWith(visit);
  if (isHere && panel.dataset.phase && panel.dataset.phase !== "ended") return; // this corner is in the call
  asked?.stop();
  // The visit's own page says it in its first place.
  const unsay = isHere ? () => {} : say(word("asked_in"), "warn", { text: word("to_talk"), run: () => location.assign(visits + visit) });
  let left = TIMES;
  const sound = () => { if (left-- > 0) tone(); };
  const timer = setInterval(sound, AGAIN_MS);
  sound();
  document.title = `● ${word("asked_in")}`;
  asked = { visit, stop() { clearInterval(timer); unsay(); document.title = title; asked = null; } };
}
