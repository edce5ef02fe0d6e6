// For weak ears: louder than the element can, more to one ear, a test tone for each ear, and a look at the microphone.
import { word } from "../lib/words.js";

const TONE_HZ = 440, TONE_S = 0.7, TONE_GAIN = 0.2;
const box = document.querySelector("[data-call]");
const area = box?.querySelector("[data-sound]");
if (area) {
  const gain = area.querySelector("[data-sound-gain]"), balance = area.querySelector("[data-sound-balance]");
  const level = area.querySelector("[data-sound-level]"), video = box.querySelector("[data-call-remote]");
  let audio = null, chain = null, source = null, remote = null;

  box.addEventListener("call-remote", ({ detail }) => { remote = detail; if (chain) connect(); });
  box.addEventListener("call-begun", ({ detail }) => area.addEventListener("toggle", () => area.open && watchMicrophone(detail.stream), { once: true }));
  for (const slider of [gain, balance]) slider.addEventListener("input", () => { say(); change(); });
  area.querySelectorAll("[data-sound-ear]").forEach((button) => button.addEventListener("click", () => tone(Number(button.dataset.soundEar))));

  const context = () => (audio ??= new AudioContext());

  /** The browser's own way to the speaker stays until somebody moves a slider: it knows best about echo. */
  function change() {
    if (!chain) {
      chain = { gain: context().createGain(), pan: context().createStereoPanner() };
      chain.gain.connect(chain.pan).connect(context().destination);
      connect();
    }
    chain.gain.gain.value = Number(gain.value) / 100;
    chain.pan.pan.value = Number(balance.value) / 100;
  }

  function say() {
    const side = Number(balance.value), name = side < 0 ? "ear_left" : side > 0 ? "ear_right" : "ears_alike";
    show(gain, "gain", `${gain.value} %`);
    show(balance, "balance", word(name, { share: Math.abs(side) }));
  }

  function show(slider, name, text) {
    slider.setAttribute("aria-valuetext", text);
    area.querySelector(`[data-sound-${name}-shown]`).textContent = text;
  }

  function connect() {
    if (!remote?.getAudioTracks().length) return;
    source?.disconnect();
    source = context().createMediaStreamSource(remote);
    source.connect(chain.gain);
    video.muted = true; // the element must go on playing, or Chromium stops the stream
  }

  function tone(ear) {
    const swing = context().createOscillator(), loud = context().createGain(), pan = context().createStereoPanner();
    swing.frequency.value = TONE_HZ;
    loud.gain.value = TONE_GAIN * Number(gain.value) / 100;
    pan.pan.value = ear;
    swing.connect(loud).connect(pan).connect(context().destination);
    swing.start();
    swing.stop(context().currentTime + TONE_S);
  }

  function watchMicrophone(stream) {
    if (!stream.getAudioTracks().length) return;
    const ear = context().createAnalyser(), samples = new Uint8Array(ear.fftSize);
    context().createMediaStreamSource(stream).connect(ear);
    setInterval(() => {
      if (!area.open) return;
      ear.getByteTimeDomainData(samples);
      level.value = Math.max(...samples.map((sample) => Math.abs(sample - 128))) / 128;
    }, 200);
  }
}
