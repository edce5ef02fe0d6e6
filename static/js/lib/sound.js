// A look at the microphone, a tone for the loudspeaker, and whether the browser lets the page sound at all.

const TONE_HZ = 440, TONE_S = 0.7, TONE_GAIN = 0.2, LOOK_MS = 100, STARTS_WITHIN_MS = 500;
let audio = null;
const context = () => (audio ??= new AudioContext());

/** Tell `onLevel` ten times a second how loud the stream is, 0 to 1. Returns what ends it and closes the microphone. */
export function listen(stream, onLevel) {
  const look = context().createAnalyser(), samples = new Float32Array(look.fftSize);
  const source = context().createMediaStreamSource(stream);
  source.connect(look);
  const timer = setInterval(() => {
    context().resume().catch(() => {}); // a page opened by a link may speak only after the first touch
    look.getFloatTimeDomainData(samples);
    onLevel(Math.min(1, 4 * Math.max(...samples.map(Math.abs))));
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
    stream.getTracks().forEach((track) => track.stop());
  };
}

/**
 * Tell `onChange` whether this page can sound, soon and when it changes. A browser is silent until its user has touched
 * the page, so the first touch switches the sound on.
 */
export function watchSound(onChange) {
  const look = () => onChange(context().state === "running");
  context().addEventListener("statechange", look);
  for (const touch of ["pointerdown", "keydown"]) addEventListener(touch, () => context().resume().catch(() => {}));
  setTimeout(look, STARTS_WITHIN_MS); // where it may sound untouched, it takes a moment to begin
}

/** Play a short tone. */
export function tone() {
  const swing = context().createOscillator(), loud = context().createGain();
  swing.frequency.value = TONE_HZ;
  loud.gain.value = TONE_GAIN;
  swing.connect(loud).connect(context().destination);
  swing.start();
  swing.stop(context().currentTime + TONE_S);
}
