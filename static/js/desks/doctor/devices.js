// The doctor looks at camera, microphone and sound before the shift. Nothing leaves this page.
import { openDevices } from "../../consultation/devices.js";
import { word } from "../../lib/words.js";

const TONE_HZ = 440, TONE_S = 0.7, TONE_GAIN = 0.2, LOOK_MS = 100;
const box = document.querySelector("[data-devices]");
const part = (name) => box.querySelector(`[data-devices-${name}]`);
let audio = null;

part("open").addEventListener("click", open);
part("tone").addEventListener("click", tone);

async function open() {
  part("open").disabled = true;
  const stream = await openDevices();
  part("open").disabled = false;
  part("seen").hidden = !stream;
  part("state").textContent = word(!stream ? "no_camera" : stream.getVideoTracks().length ? "devices_work" : "no_picture");
  if (!stream) return;
  part("picture").srcObject = stream;
  listen(stream);
  addEventListener("pagehide", () => stream.getTracks().forEach((track) => track.stop()));
}

function listen(stream) {
  const look = context().createAnalyser(), samples = new Float32Array(look.fftSize);
  context().createMediaStreamSource(stream).connect(look);
  setInterval(() => {
    look.getFloatTimeDomainData(samples);
    part("level").value = Math.min(1, 4 * Math.max(...samples.map(Math.abs)));
  }, LOOK_MS);
}

function tone() {
  const swing = context().createOscillator(), loud = context().createGain();
  swing.frequency.value = TONE_HZ;
  loud.gain.value = TONE_GAIN;
  swing.connect(loud).connect(context().destination);
  swing.start();
  swing.stop(context().currentTime + TONE_S);
}

function context() {
  return (audio ??= new AudioContext());
}
