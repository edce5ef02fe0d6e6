// Photographs in a talk: the doctor asks, the corner takes one and sends it in small pieces beside the voice; the doctor's
// page stores it. When the pieces get stuck, the corner brings it to the server itself. Both ways carry the same id.
import { get, newId, post } from "../lib/api.js";
import { PHOTO_MOST_BYTES, receivePhotos, sendPhoto } from "../lib/call-photo.js";
import { live } from "../lib/live.js";
import { say } from "../lib/notice.js";
import { word } from "../lib/words.js";
import { CAMERA } from "./devices.js";

const LONG_SIDE = 1024, QUALITIES = [0.8, 0.65, 0.5, 0.35], AIM_BYTES = 60_000;
const box = document.querySelector("[data-call]");
const area = box?.querySelector("[data-photos]");
const part = (name) => area.querySelector(`[data-photo-${name}]`);
if (area) (box.dataset.callRole === "doctor" ? doctor : corner)();

function doctor() {
  const line = live();
  part("ask").addEventListener("click", async () => {
    const answer = await line.ask("call:photo_ask", { call_id: box.dataset.call, photo_id: newId() }).catch(() => null);
    say(word(answer?.reached ? "photo_asked" : "not_reached"), answer?.reached ? "success" : "error");
  });
  box.addEventListener("call-photos", ({ detail: channel }) => receivePhotos(channel, {
    onProgress: (share) => progress(share < 1 ? share : null),
    onPhoto: ({ id, bytes }) => store(id, bytes).then(refresh, (error) => say(error.sentence, "error")),
  }));
  line.watch(area.dataset.room);
  line.on("photo:stored", refresh);
  line.onGap(refresh);
  refresh();
}

async function refresh() {
  const { photos } = await get(area.dataset.url).catch(() => ({ photos: null }));
  if (!photos) return;
  part("list").replaceChildren(...photos.map(({ url }, number) => {
    const item = document.createElement("li"), link = document.createElement("a"), image = document.createElement("img");
    Object.assign(image, { src: url, alt: word("photo_number", { number: number + 1 }) });
    Object.assign(link, { href: url, target: "_blank", rel: "noopener" });
    link.append(image);
    item.append(link);
    return item;
  }));
}

function corner() {
  let asked = null, photo = null, channel = null, camera = null;

  live().on("call:photo_ask", ({ call_id: id, photo_id }) => {
    if (id !== box.dataset.call) return;
    asked = photo_id;
    area.hidden = false;
    area.scrollIntoView({ block: "nearest" });
  });
  box.addEventListener("call-photos", ({ detail }) => { channel = detail; });
  box.addEventListener("call-begun", ({ detail }) => { camera = detail.stream; });
  part("take").addEventListener("click", async () => show(await fromCamera(camera)));
  part("file").addEventListener("change", async ({ target }) => show(await fromFile(target.files[0])));
  part("send").addEventListener("click", send);

  function show(bytes) {
    photo = bytes;
    if (!photo) return say(word("camera_lost"), "error");
    part("preview").src = URL.createObjectURL(new Blob([photo], { type: "image/jpeg" }));
    part("preview").hidden = part("send").hidden = false;
    part("take").className = "second"; // the next step is to send; another try stays possible
  }

  async function send() {
    part("send").disabled = true;
    try {
      await bring(asked ?? newId(), photo);
      area.hidden = part("preview").hidden = part("send").hidden = true;
      say(word("photo_sent"), "success");
    } catch (error) {
      say(error.sentence ?? word("not_reached"), "error");
    } finally {
      part("send").disabled = false;
      progress(null);
    }
  }

  async function bring(id, bytes) {
    try {
      await sendPhoto(channel, { id, bytes, onProgress: progress });
    } catch {
      await store(id, bytes);
    }
  }
}

function progress(share) {
  part("progress").hidden = share === null;
  part("progress").value = share ?? 0;
}

function store(photoId, bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return post(area.dataset.url, { photo_id: photoId, jpeg: btoa(text) }, { key: photoId, timeoutMs: 120_000 });
}

/** Take it from the talk's camera; by telephone that is off, and opened for this one picture. */
async function fromCamera(stream) {
  const own = stream?.getVideoTracks().find(({ readyState }) => readyState === "live");
  if (own) return takeFrom(own);
  const track = (await navigator.mediaDevices.getUserMedia({ video: CAMERA }).catch(() => null))?.getVideoTracks()[0];
  if (!track) return null;
  return takeFrom(track).finally(() => track.stop());
}

async function takeFrom(track) {
  const video = document.createElement("video");
  Object.assign(video, { srcObject: new MediaStream([track]), muted: true });
  const wasEnabled = track.enabled;
  track.enabled = true; // a picture that is off for the talk may still be taken on request
  await video.play();
  if (!wasEnabled) await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const bytes = await squeeze(video, video.videoWidth, video.videoHeight);
  track.enabled = wasEnabled;
  video.srcObject = null;
  return bytes;
}

async function fromFile(file) {
  const image = file && await createImageBitmap(file).catch(() => null);
  return image && squeeze(image, image.width, image.height);
}

/** Draw it anew, which also leaves place and time behind, at the best quality that a thin line can carry. */
async function squeeze(source, width, height) {
  const scale = Math.min(LONG_SIDE / Math.max(width, height), 1);
  const canvas = Object.assign(document.createElement("canvas"), { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage(source, 0, 0, canvas.width, canvas.height);
  for (const quality of QUALITIES) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
    const isLast = quality === QUALITIES.at(-1);
    if (blob && (blob.size <= AIM_BYTES || isLast) && blob.size <= PHOTO_MOST_BYTES) return new Uint8Array(await blob.arrayBuffer());
  }
  return null;
}
