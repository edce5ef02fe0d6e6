// Camera and microphone of this side: open them, go on when one is unplugged, plugged in or exchanged, and stop them on
// every way out of the talk.
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

export const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 25 } };

/** Return what can be had: both, or the voice alone, or null. */
export async function openDevices(ask = (wish) => navigator.mediaDevices.getUserMedia(wish)) {
  for (const wish of [{ audio: true, video: CAMERA }, { audio: true }]) {
    try {
      return await ask(wish);
    } catch { /* without a camera the voice is still worth a talk */ }
  }
  return null;
}

/**
 * Keep what a talk holds of camera and microphone. After `close()` all of it has stopped, and what a browser gives later
 * is stopped at once; `open()` begins anew. `wishes` are the person's: a track that comes later keeps to them.
 */
export function holdDevices() {
  const held = new Set(), wishes = { audio: true, video: true };
  let turn = 0, isClosed = false;

  async function ask(wish, own = turn) {
    if (isClosed || own !== turn) throw new Error("closed");
    const stream = await navigator.mediaDevices.getUserMedia(wish);
    const isLate = isClosed || own !== turn;
    for (const track of stream.getTracks()) {
      if (isLate) track.stop();
      else held.add(track);
      track.enabled = wishes[track.kind];
    }
    if (isLate) throw new Error("closed");
    return stream;
  }

  function close() {
    isClosed = true;
    turn += 1;
    held.forEach((track) => track.stop());
    held.clear();
  }

  return {
    wishes, ask, close,
    get isClosed() { return isClosed; },
    open() {
      isClosed = false;
      const own = turn;
      return openDevices((wish) => ask(wish, own));
    },
  };
}

const box = document.querySelector("[data-call]");
box?.addEventListener("call-begun", ({ detail }) => watch(detail));

function watch({ call, stream, line, devices }) {
  const note = (kind) => line.ask("call:step", { call_id: box.dataset.call, kind }).catch(() => {});
  const lost = new Set();

  const keepEye = (track) => track.addEventListener("ended", () => lose(track));
  const look = ({ detail }) => keepEye(detail); // added in the middle of the talk
  const plugged = () => [...lost].forEach(regain);
  stream.getTracks().forEach(keepEye);
  box.addEventListener("call-track", look);
  navigator.mediaDevices.addEventListener?.("devicechange", plugged);
  box.addEventListener("call-over", () => {
    box.removeEventListener("call-track", look);
    navigator.mediaDevices.removeEventListener?.("devicechange", plugged);
  }, { once: true });

  async function lose(track) {
    if (devices.isClosed) return;
    stream.removeTrack(track);
    lost.add(track.kind);
    await call.exchange(track.kind, null);
    say(word(track.kind === "video" ? "camera_lost" : "mic_lost"), "error", { text: word("try_again"), run: () => regain(track.kind) });
    if (track.kind === "video") note("camera_lost");
    regain(track.kind); // another one may be plugged in already
  }

  async function regain(kind) {
    const wish = kind === "video" ? { video: CAMERA } : { audio: true };
    const track = (await devices.ask(wish).catch(() => null))?.getTracks()[0];
    if (!track || !lost.delete(kind)) return track?.stop();
    stream.addTrack(track);
    keepEye(track);
    await call.exchange(kind, track);
    say(word(kind === "video" ? "camera_back" : "mic_back"), "success");
    if (kind === "video") note("camera_back");
  }
}
