// The call panel of both sides: begin, resume after a reload, pictures, and the plain truth about whether the other side
// hears. Other behaviours of the panel hear of it by events on the panel: call-begun, call-state, call-stats, call-remote,
// call-code, call-photos.
import { createCall } from "../lib/call.js";
import { live } from "../lib/live.js";
import { newId } from "../lib/api.js";
import { clock } from "../lib/dates.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";
import { CAMERA, holdDevices } from "./devices.js";
import { showStep } from "./steps.js";

const TRY_AGAIN_MS = 5000;
const KEPT_MIN = 10;
const TOOLS = ["camera", "mic", "large", "tools"];
const panel = document.querySelector("[data-call]");
if (panel) begin(panel);

function begin(box) {
  const part = (name) => box.querySelector(`[data-call-${name}]`);
  const role = box.dataset.callRole, id = box.dataset.call;
  const line = live();
  const tell = (name, detail) => box.dispatchEvent(new CustomEvent(name, { detail }));
  const devices = holdDevices();
  let call = null, stream = null, goneAt = null, hasTalked = false, isResting = false, isSignedOut = false, isOver = false;
  let changing = Promise.resolve(); // one change of the devices after another

  part("start").addEventListener("click", start);
  part("camera").addEventListener("click", () => toggle("video", "camera"));
  part("mic").addEventListener("click", () => toggle("audio", "mic"));
  part("large").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : part("stage").requestFullscreen()));
  part("here").addEventListener("click", takeOver);
  addEventListener("pagehide", depart);
  addEventListener("pageshow", (event) => event.persisted && location.reload()); // what the page held was given back
  line.on("session:ended", () => { isSignedOut = true; giveUp(); });
  document.addEventListener("renewed", () => {
    if (role === "clerk" && !isOver && !isQueued()) giveUp(); // begun or not: nobody waits at the other end any more
    if (isOver) offerStart();
  });
  if (recall(`call-on:${id}`)) start(); // the page was loaded again in the middle of the talk

  async function start() {
    part("start").disabled = true;
    isOver = false;
    stream = await devices.open();
    if (!stream) return isOver || refuse();
    part("local").srcObject = stream;
    remember(`call-on:${id}`, "1");
    const way = await untilTaken();
    if (isOver) return;
    call = createCall({
      relayOnly: way?.policy === "relay", iceServers: async () => (await servers()).ice_servers,
      socket: line.socket, callId: id, polite: role === "clerk", localStream: stream, nextId: newId,
      lineClass: box.dataset.callLine || null, device: device(), certificates: [await ownCertificate()],
      onRemoteTrack: (_track, remote) => { part("remote").srcObject = remote; tell("call-remote", remote); },
      onState: show,
      onStats: (figures) => { box.dataset.stats = JSON.stringify(figures); tell("call-stats", figures); },
      onCode: (code) => tell("call-code", code),
      onPhotos: (channel) => tell("call-photos", channel),
    });
    box.callPeer = call; // a test counts the far end's frames here
    part("start").hidden = true;
    for (const name of TOOLS) part(name).hidden = false;
    if (role === "clerk") part("stage").scrollIntoView({ block: "start" }); // the patient looks at the doctor, not at a list
    tell("call-begun", { call, stream, line, role, devices });
  }

  function refuse() {
    part("start").disabled = false;
    say(word("no_camera"), "error");
  }

  // ---- ways out: on each of them camera and microphone stop

  function closeDevices() {
    devices.close();
    part("local").srcObject = null;
    for (const name of ["camera", "mic"]) part(name).hidden = true;
  }

  function end() {
    if (isOver) return;
    isOver = true;
    isResting = false;
    closeDevices();
    for (const name of TOOLS) part(name).hidden = true;
    part("remote").srcObject = null;
    if (!isSignedOut) forget(`call-on:${id}`);
    tell("call-over");
    offerStart();
  }

  const isQueued = () => Boolean(document.querySelector("[data-case-queued]"));

  /** The next doctor of a case that was given back asks in again: this corner may answer. */
  function offerStart() {
    part("start").hidden = role !== "clerk" || isSignedOut || !isQueued();
    part("start").disabled = false;
  }

  /** The talk is over here: the case has ended, or this session has. */
  function giveUp() {
    if (call) call.leave();
    end();
    part("state").textContent = word("phase_ended");
  }

  function depart() {
    call?.depart();
    isOver = true;
    devices.close();
  }

  /** By telephone nothing is seen or heard here; back at the computer, what is opened goes where the old one went. */
  function rest(isWanted) {
    if (isWanted === isResting) return;
    isResting = isWanted;
    changing = changing.then(() => (isWanted ? sleep() : wake())).catch((error) => console.warn("call devices", error.name));
  }

  async function sleep() {
    closeDevices();
    for (const track of stream.getTracks()) await call.exchange(track.kind, null);
  }

  async function wake() {
    const fresh = await devices.open();
    if (!fresh) return isOver || say(word("no_camera"), "error");
    renewStream(fresh);
    for (const track of fresh.getTracks()) await call.exchange(track.kind, track);
    showOwn();
  }

  function renewStream(fresh) {
    stream.getTracks().forEach((track) => stream.removeTrack(track));
    fresh.getTracks().forEach((track) => { stream.addTrack(track); tell("call-track", track); });
  }

  function showOwn() {
    part("local").srcObject = stream;
    for (const name of ["camera", "mic"]) part(name).hidden = false;
  }

  async function takeOver() {
    const fresh = await devices.open();
    if (!fresh) return say(word("no_camera"), "error");
    renewStream(fresh);
    showOwn();
    call.takeOver(stream);
  }

  async function servers() {
    const answer = await line.ask("call:servers", { call_id: id });
    if (answer.phone) tell("call-phone", answer.phone); // a page from before the case was taken has none
    return answer; // {kind, ice_servers, policy, expires_at}: telemed/consultation/media_plane.py
  }

  // The corner may press the button before a doctor has taken the case: then the talk begins by itself.
  async function untilTaken() {
    for (;;) {
      try {
        return await servers();
      } catch (error) {
        if (!["no_call_now", "offline"].includes(error.message)) return null;
      }
      if (isOver) return null;
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

  function show(state) {
    const { phase, heard, hear } = state;
    box.dataset.phase = phase;
    hasTalked ||= phase === "talking";
    box.dataset.hear = hear.video ? "picture" : hear.audio ? "voice" : "nothing";
    part("state").textContent = state.step === "telephone" && phase !== "ended" ? word("phase_telephone") : sentence(phase, heard, hear);
    part("elsewhere").hidden = phase !== "elsewhere";
    keepPlace(phase);
    showStep(box, state);
    if (phase === "ended") end();
    else if (phase === "elsewhere") closeDevices();
    else rest(state.step === "telephone");
    tell("call-state", state);
  }

  function sentence(phase, heard, hear) {
    if (phase === "connecting" && hasTalked) return word("phase_interrupted"); // connected, and nothing arrives
    if (phase !== "talking") return word(`phase_${phase}`);
    if (!heard.audio && !heard.video) return word("not_heard");
    if (!heard.audio) return word("seen_not_heard");
    return word(heard.video && hear.video ? "phase_talking" : "heard_not_seen"); // a picture that stands still is none
  }

  // A lost line does not cost the place: say so, and until when.
  function keepPlace(phase) {
    const isLost = phase === "interrupted";
    goneAt = isLost ? goneAt ?? Date.now() : null;
    part("kept").hidden = !isLost;
    if (!isLost) return;
    const until = new Date(goneAt + KEPT_MIN * 60_000);
    part("kept").textContent = word("place_kept", { time: clock(until) });
  }

  async function toggle(kind, name) {
    const track = stream.getTracks().find((candidate) => candidate.kind === kind);
    if (!track && kind === "video") await addCamera();
    else if (track) await wish(track, !devices.wishes[kind]);
    part(name).textContent = word(`${name}_${devices.wishes[kind] ? "off" : "on"}`);
  }

  // The sending stops before the camera goes black: the far end then keeps the last clear picture.
  async function wish(track, isOn) {
    devices.wishes[track.kind] = isOn;
    if (isOn || track.kind === "audio") track.enabled = isOn;
    if (track.kind === "video") await call.setVideo(isOn);
    track.enabled = isOn;
  }

  /** From voice to picture in the middle of the talk. */
  async function addCamera() {
    devices.wishes.video = true;
    const track = (await devices.ask({ video: CAMERA }).catch(() => null))?.getVideoTracks()[0];
    if (!track) return isOver || say(word("camera_lost"), "error");
    stream.addTrack(track);
    await call.exchange("video", track);
    await call.setVideo(true);
    tell("call-track", track);
  }
}

/** One certificate for the page's life, so that the code stays compared over a new connection. */
let certificate = null;
const ownCertificate = () => (certificate ??= RTCPeerConnection.generateCertificate({ name: "ECDSA", namedCurve: "P-256" }));

/** This tab's name: it outlives a reload, another device has another one. */
function device() {
  const known = recall("call-device") ?? newId();
  remember("call-device", known);
  return known;
}

function recall(key) {
  try { return sessionStorage.getItem(key); } catch { return null; }
}

function remember(key, value) {
  try { sessionStorage.setItem(key, value); } catch { /* the talk then begins by hand after a reload */ }
}

function forget(key) {
  try { sessionStorage.removeItem(key); } catch { /* see remember */ }
}
