// The call panel of both sides: buttons, pictures, and the plain truth about whether the other side hears.
import { createCall } from "../lib/call.js";
import { live } from "../lib/live.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";

const VIDEO = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 20 } };
const TRY_AGAIN_MS = 5000;
const panel = document.querySelector("[data-call]");
if (panel) begin(panel);

function begin(box) {
  const part = (name) => box.querySelector(`[data-call-${name}]`);
  const role = box.dataset.callRole;
  const line = live();
  let call = null, stream = null;

  part("start").addEventListener("click", start);
  part("camera").addEventListener("click", () => toggle("video"));
  part("mic").addEventListener("click", () => toggle("audio"));
  part("telephone").addEventListener("click", telephone);

  async function start() {
    part("start").disabled = true;
    stream = await open();
    if (!stream) {
      part("start").disabled = false;
      return say(word("no_camera"), "error");
    }
    part("local").srcObject = stream;
    const iceServers = await untilTaken();
    call = createCall({
      socket: line.socket, callId: box.dataset.call, polite: role === "clerk", iceServers, localStream: stream,
      onRemoteTrack: (_track, remote) => { part("remote").srcObject = remote; },
      onState: show,
      onStats: (figures) => { box.dataset.stats = JSON.stringify(figures); },
    });
    box.callPeer = call; // a test counts the far end's frames here
    part("start").hidden = true;
    part("camera").hidden = part("mic").hidden = false;
  }

  // The corner may press the button before a doctor has taken the case: then the talk begins by itself.
  async function untilTaken() {
    for (;;) {
      try {
        return (await line.ask("call:servers", { call_id: box.dataset.call })).ice_servers;
      } catch (error) {
        if (!["no_call_now", "offline"].includes(error.message)) return [];
      }
      part("state").textContent = word("phase_waiting");
      await news();
    }
  }

  const news = () => new Promise((resolve) => {
    const stop = line.on("queue:changed", done);
    const timer = setTimeout(done, TRY_AGAIN_MS);
    function done() {
      clearTimeout(timer);
      stop();
      resolve();
    }
  });

  async function open() {
    for (const wish of [{ audio: true, video: VIDEO }, { audio: true }]) {
      try {
        return await navigator.mediaDevices.getUserMedia(wish);
      } catch { /* without a camera the voice is still worth a talk */ }
    }
    return null;
  }

  function show({ phase, heard, video }) {
    box.dataset.phase = phase;
    let sentence = word(`phase_${phase}`);
    if (phase === "talking" && !heard.audio && !heard.video) sentence = word("not_heard");
    else if (phase === "talking" && video.paused) sentence = word("video_paused");
    part("state").textContent = sentence;
  }

  function toggle(kind) {
    const track = stream.getTracks().find((candidate) => candidate.kind === kind);
    if (!track) return;
    track.enabled = !track.enabled;
    if (kind === "video") call.setVideo(track.enabled);
    const button = part(kind === "video" ? "camera" : "mic");
    const name = kind === "video" ? "camera" : "mic";
    button.textContent = word(`${name}_${track.enabled ? "off" : "on"}`);
  }

  function telephone() {
    const number = part("number");
    number.hidden = !number.hidden;
    part("telephone").setAttribute("aria-expanded", String(!number.hidden));
    if (!number.hidden) line.ask("call:step", { call_id: box.dataset.call, kind: "telephone", reason: "asked" }).catch(() => {});
  }
}
