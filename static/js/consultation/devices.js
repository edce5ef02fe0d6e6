// Camera and microphone of this side: open them, and go on when one is unplugged, plugged in or exchanged.
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

export const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25 } };

/** Return what can be had: both, or the voice alone, or null. */
export async function openDevices() {
  for (const wish of [{ audio: true, video: CAMERA }, { audio: true }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(wish);
    } catch { /* without a camera the voice is still worth a talk */ }
  }
  return null;
}

const box = document.querySelector("[data-call]");
box?.addEventListener("call-begun", ({ detail }) => watch(detail));

function watch({ call, stream, line }) {
  const note = (kind) => line.ask("call:step", { call_id: box.dataset.call, kind }).catch(() => {});
  const lost = new Set();

  const keepEye = (track) => track.addEventListener("ended", () => lose(track));
  stream.getTracks().forEach(keepEye);
  box.addEventListener("call-track", ({ detail }) => keepEye(detail)); // added in the middle of the talk
  navigator.mediaDevices.addEventListener?.("devicechange", () => [...lost].forEach(regain));

  async function lose(track) {
    stream.removeTrack(track);
    lost.add(track.kind);
    await call.exchange(track.kind, null);
    say(word(track.kind === "video" ? "camera_lost" : "mic_lost"), "error", { text: word("try_again"), run: () => regain(track.kind) });
    if (track.kind === "video") note("camera_lost");
    regain(track.kind); // another one may be plugged in already
  }

  async function regain(kind) {
    const wish = kind === "video" ? { video: CAMERA } : { audio: true };
    const track = (await navigator.mediaDevices.getUserMedia(wish).catch(() => null))?.getTracks()[0];
    if (!track || !lost.delete(kind)) return;
    stream.addTrack(track);
    keepEye(track);
    await call.exchange(kind, track);
    say(word(kind === "video" ? "camera_back" : "mic_back"), "success");
    if (kind === "video") note("camera_back");
  }
}
