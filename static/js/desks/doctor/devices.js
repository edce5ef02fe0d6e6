// The doctor looks at camera, microphone and sound before the shift. Nothing leaves this page.
import { openDevices } from "../../consultation/devices.js";
import { listen, tone } from "../../lib/sound.js";
import { word } from "../../lib/words.js";

const box = document.querySelector("[data-devices]");
const part = (name) => box.querySelector(`[data-devices-${name}]`);
let stop = () => {};

part("open").addEventListener("click", open);
part("tone").addEventListener("click", () => tone());

async function open() {
  part("open").disabled = true;
  const stream = await openDevices();
  part("open").disabled = false;
  part("seen").hidden = !stream;
  part("state").textContent = word(!stream ? "no_camera" : stream.getVideoTracks().length ? "devices_work" : "no_picture");
  if (!stream) return;
  part("picture").srcObject = stream;
  stop();
  stop = listen(stream, (loud) => { part("level").value = loud; });
  addEventListener("pagehide", () => stop());
}
