// The morning's first look: open the camera by itself and show what it sees. Nothing leaves this page.
import { CAMERA } from "../../consultation/devices.js";
import { word } from "../../lib/words.js";

const box = document.querySelector("[data-morning-camera]");
const picture = box.querySelector("[data-morning-picture]"), state = box.querySelector("[data-morning-state]");

box.querySelector("[data-morning-retry]").addEventListener("click", open);
addEventListener("pagehide", stop);
open();

async function open() {
  stop();
  try {
    picture.srcObject = await navigator.mediaDevices.getUserMedia({ video: CAMERA });
    state.textContent = word("camera_works");
  } catch {
    state.textContent = word("no_camera");
  }
}

function stop() {
  picture.srcObject?.getTracks().forEach((track) => track.stop());
  picture.srcObject = null;
}
