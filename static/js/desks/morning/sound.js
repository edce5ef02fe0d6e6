// The morning's second look: how loud the microphone hears the clerk, and a tone for the loudspeaker.
import { listen, tone } from "../../lib/sound.js";
import { word } from "../../lib/words.js";

const HEARD_FROM = 0.15;
const box = document.querySelector("[data-morning-sound]");
const level = box.querySelector("[data-morning-level]"), state = box.querySelector("[data-morning-state]");
let stop = () => {};

box.querySelector("[data-morning-retry]").addEventListener("click", open);
box.querySelector("[data-morning-tone]").addEventListener("click", () => tone());
addEventListener("pagehide", () => stop());
open();

async function open() {
  stop();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    state.textContent = word("sound_opens");
    stop = listen(stream, (loud) => {
      level.value = loud;
      if (loud > HEARD_FROM) state.textContent = word("heard");
    });
  } catch {
    state.textContent = word("no_microphone");
  }
}
